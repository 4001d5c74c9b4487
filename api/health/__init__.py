"""Health: routes, bodies and views."""
