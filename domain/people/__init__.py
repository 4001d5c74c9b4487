"""Requests to people and messages for them: forms, answers, notifications."""
