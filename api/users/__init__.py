"""Users: routes, bodies and views."""
