"""Slack: clicks on the buttons of messages."""
