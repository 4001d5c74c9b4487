"""Read what a report contains: the rows of one execution, bounded."""
