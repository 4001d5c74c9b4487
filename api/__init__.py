"""The gateway: REST and Server-Sent Events over HTTP. Never loads the loop, Claude or the tools."""
