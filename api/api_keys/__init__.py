"""Api keys: routes, bodies and views."""
