"""Input requests: routes, bodies and views."""
