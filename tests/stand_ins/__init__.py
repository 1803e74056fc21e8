"""Servers that stand in for what a test cannot have: reached over their real protocols."""
