"""Rows of what users define: tasks, agents, tool groups, MCP servers, schedules, secrets, hooks."""
