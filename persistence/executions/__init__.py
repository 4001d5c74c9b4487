"""Rows of executions: created, moved forward step by step, ended."""
