"""Tool groups."""
