"""The lifecycle of executions: states, steps, events, limits, budgets and priority."""
