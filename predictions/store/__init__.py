"""Stored predictions: found, listed, waited for, handed out, deleted. Door: `reading`, `listing`, `waiting`."""
