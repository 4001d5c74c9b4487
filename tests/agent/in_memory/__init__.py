"""The loop's ports in memory. `tests/agent/ports` holds them to the real ones."""
