"""Shared by the gateway, the worker and the command line: settings, Temporal client, telemetry."""
