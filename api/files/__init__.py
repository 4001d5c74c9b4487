"""Workspace files: routes, schemas and views."""
