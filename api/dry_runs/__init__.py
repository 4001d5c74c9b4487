"""Dry runs: routes, bodies and views."""
