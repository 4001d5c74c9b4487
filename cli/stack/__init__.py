"""The servers and parts that `perdure up` runs on one machine, and what keeps them running."""
