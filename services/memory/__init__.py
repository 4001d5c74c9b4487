"""Memory: knowledge that outlives an execution."""
