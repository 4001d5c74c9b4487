"""Notifications: routes, bodies and views."""
