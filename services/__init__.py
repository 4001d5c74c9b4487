"""Use cases: one function and one transaction per verb, called by every surface."""
