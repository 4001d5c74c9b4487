"""Usage: routes, bodies and views."""
