"""Dry runs: routes, schemas and views."""
