"""Built-in tools and the sandbox they run in. Everything here runs in the worker, in activities."""
