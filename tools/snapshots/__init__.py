"""Saves the files of workspaces in the store of files, and restores them on another host."""
