"""Reads command lines with a grammar of bash. Workflows never load it (`pyproject.toml`)."""
