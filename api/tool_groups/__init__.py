"""Tool groups: routes, schemas and views."""
