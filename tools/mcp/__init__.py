"""Tools of MCP servers: programs in the sandbox and servers over HTTP, for one attempt each.

`attempts` is light; the other modules load the SDK with `mcp_client`.
"""
