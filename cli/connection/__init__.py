"""The gateway that commands call: its address, and the client of its API."""
