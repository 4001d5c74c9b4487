"""Schedules: routes, schemas and views."""
