"""Rules for tasks, agents and other definitions."""
