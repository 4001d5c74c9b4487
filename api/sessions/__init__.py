"""Sessions: routes, bodies and views."""
