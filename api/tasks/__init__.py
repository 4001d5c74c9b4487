"""Tasks: routes, schemas and views."""
