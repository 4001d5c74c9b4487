"""The rules that tasks, agents and other definitions must obey."""
