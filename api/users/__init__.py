"""Users: routes, schemas and views."""
