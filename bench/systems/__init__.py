"""The systems side by side, as the driver starts and asks them."""
