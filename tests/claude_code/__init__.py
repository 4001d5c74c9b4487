"""The real Claude Code as a client of our MCP server, without internet: its model is scripted."""
