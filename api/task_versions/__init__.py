"""Task versions: routes, schemas and views."""
