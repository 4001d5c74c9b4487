"""Memory: entries, their versions, and grants."""
