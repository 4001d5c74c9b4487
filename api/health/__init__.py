"""Health and metrics: routes, schemas and views."""
