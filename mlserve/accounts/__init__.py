"""Accounts: the page of one's own (password, tokens, predictions), and those of all users in the admin.

Door: `urls` for the pages, `user_admin` and `deleted_admin` for mlserve/admin.py.
"""
