"""Admin: routes, bodies and views."""
