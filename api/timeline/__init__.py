"""Timeline: routes, bodies and views."""
