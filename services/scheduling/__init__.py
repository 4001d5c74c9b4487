"""Schedules: their runs, their backfills, and keeping Temporal synchronised with the tasks."""
