"""Task versions: routes, bodies and views."""
