"""What the workflow's activities do: thin, between Temporal and the loop, Postgres and the tools."""
