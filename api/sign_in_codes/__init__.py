"""One-time codes that sign in a browser."""
