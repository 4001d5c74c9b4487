"""Tools as the model sees them, and the values of their calls."""
