"""The built-in tools and their sandbox. Everything here runs in the worker, in activities."""
