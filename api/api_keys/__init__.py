"""API keys: routes, schemas and views."""
