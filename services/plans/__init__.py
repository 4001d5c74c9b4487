"""Plans: definition, start, retry, and the steps of their workflow."""
