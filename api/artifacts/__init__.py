"""Artifacts: routes, bodies and views."""
