"""What crosses the Temporal boundary, without content: names, payloads, activities, time limits."""
