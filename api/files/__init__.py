"""Files: routes, bodies and views."""
