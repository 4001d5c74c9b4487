"""Usage: routes, schemas and views."""
