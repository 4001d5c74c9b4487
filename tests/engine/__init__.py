"""A real worker in the test's process, and a driver that does what the gateway does."""
