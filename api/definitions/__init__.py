"""What tasks, agents and what they name must be before they are stored."""
