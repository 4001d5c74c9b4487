"""What the workflow's activities do: thin, between Temporal and what does the work."""
