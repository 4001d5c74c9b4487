"""Administration: routes, schemas and views."""
