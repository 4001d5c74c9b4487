"""What users define: checked by the gateway, stored as JSON, read back by the worker."""
