"""A suite for each port of the loop, run against the implementation in memory and the real one."""
