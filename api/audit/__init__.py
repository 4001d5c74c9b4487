"""Audit: routes, bodies and views."""
