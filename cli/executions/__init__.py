"""Selecting, following and printing executions."""
