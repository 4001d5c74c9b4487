"""Agents, and the files that define them."""
