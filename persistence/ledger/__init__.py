"""The audit log, usage, quotas and forecasts."""
