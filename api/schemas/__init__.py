"""What goes in and out of the gateway, one module per feature."""
