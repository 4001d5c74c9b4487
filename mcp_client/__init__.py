"""The client of MCP servers: connections, their negotiation, lists of tools, and calls.

Workers call tools through it (`tools/mcp`). Importing its modules loads the SDK, which takes half a
second and 37 MB.
"""
