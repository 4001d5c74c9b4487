"""Mcp servers: routes, bodies and views."""
