"""Rows of notifications and their delivery attempts."""
