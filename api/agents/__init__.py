"""Agents: routes, bodies and views."""
