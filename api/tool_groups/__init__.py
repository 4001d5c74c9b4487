"""Tool groups: routes, bodies and views."""
