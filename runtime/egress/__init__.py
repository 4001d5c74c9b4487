"""The proxy through which sandboxed tools connect to the hosts of their execution."""
