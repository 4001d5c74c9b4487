"""Schedules and cron expressions."""
