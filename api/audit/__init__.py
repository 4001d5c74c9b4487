"""Audit log: routes, schemas and views."""
