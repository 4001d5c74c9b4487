"""The network access of tools: hosts, addresses, URLs and connections."""
