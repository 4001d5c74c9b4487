"""Hooks: routes, schemas and views."""
