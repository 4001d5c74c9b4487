"""Agent files: how they are read, and those of the built-in agents. Knows only the domain."""
