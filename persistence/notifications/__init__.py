"""Notifications and their delivery attempts."""
