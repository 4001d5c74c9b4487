"""What every request and answer has in common, whatever it is about."""
