"""MCP servers: routes, schemas and views."""
