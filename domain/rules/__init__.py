"""The rules that decide which tool calls may run."""
