"""API documentation: routes, schemas and views."""
