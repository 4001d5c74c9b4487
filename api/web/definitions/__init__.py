"""Pages that list, create, change and delete what users define, made from declarations."""

from api.web.definitions import agents, groups, mcp_servers, secrets, task_templates, tool_groups

DEFINITIONS = (agents, task_templates, tool_groups, mcp_servers, secrets, groups)
"""Modules whose `router` serves the pages of one kind. Tasks have more pages: `task_routes`."""
