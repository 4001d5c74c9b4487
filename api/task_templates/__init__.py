"""Task templates: routes, bodies and views."""
