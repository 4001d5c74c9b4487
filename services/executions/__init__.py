"""The verbs of executions: start, message, answer, cancel, retry, fork."""
