"""Docs: routes, bodies and views."""
