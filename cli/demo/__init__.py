"""`perdure demo`: one real task from end to end."""
