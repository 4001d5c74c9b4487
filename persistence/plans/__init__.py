"""Plans: reads, writes and the state of their runs."""
