"""Secrets: routes, schemas and views."""
