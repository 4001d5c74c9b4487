"""Input requests."""
