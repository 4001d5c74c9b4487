"""Reports: routes, schemas and views."""
