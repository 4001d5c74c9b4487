"""Memory: knowledge that outlives executions."""
