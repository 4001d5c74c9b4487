"""The gateway: REST and Server-Sent Events. Never imports the loop, the model or the tools."""
