"""Tasks and agents as files: reading, writing, and bringing the gateway to them."""
