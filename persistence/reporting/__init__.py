"""Reading what a report says: the rows of one execution, bounded."""
