"""Tasks: routes, bodies and views."""
