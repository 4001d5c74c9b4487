"""Input requests: routes, schemas and views."""
