"""Agents: routes, schemas and views."""
