"""Executions: routes, schemas and views."""
