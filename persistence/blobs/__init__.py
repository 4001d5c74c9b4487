"""The store of files: its implementations, and the rows that protect files from deletion."""
