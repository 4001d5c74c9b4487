"""The queue of work for external workers."""
