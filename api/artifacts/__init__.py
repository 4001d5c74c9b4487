"""Artifacts: routes, schemas and views."""
