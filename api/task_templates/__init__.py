"""Task templates: routes, schemas and views."""
