"""Routes, one module per feature."""
