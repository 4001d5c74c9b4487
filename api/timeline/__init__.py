"""The timeline of an execution."""
