"""Input requests at a terminal."""
