"""What crosses the Temporal boundary: names, payloads, typed activities, policies. No content."""
