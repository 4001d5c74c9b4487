"""Workspaces: their paths, snapshots and directories."""
