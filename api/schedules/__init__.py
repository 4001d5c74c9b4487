"""Schedules: routes, bodies and views."""
