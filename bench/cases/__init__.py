"""What is measured, one module per question; each brings up a world of its own."""
