"""Reports: routes, bodies and views."""
