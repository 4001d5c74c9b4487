"""Notifications: routes, schemas and views."""
