"""Secrets: routes, bodies and views."""
