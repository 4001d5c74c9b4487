"""What the gateway, the worker and the command line share: settings, Temporal client, telemetry."""
