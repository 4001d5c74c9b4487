"""Reports: composed from what the record gives, rendered to any format at any time."""
