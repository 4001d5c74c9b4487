"""Stored files: artifacts and their contents."""
