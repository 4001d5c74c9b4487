"""MCP: the files of other programs that list servers, and the relay for stdin and stdout."""
