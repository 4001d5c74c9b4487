"""The person's terminal: output for people and for programs, and questions."""
