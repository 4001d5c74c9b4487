"""Rows of users and their API keys."""
