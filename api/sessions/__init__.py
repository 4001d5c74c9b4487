"""Sessions: routes, schemas and views."""
