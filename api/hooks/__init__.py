"""Hooks: routes, bodies and views."""
