"""Rows of sessions: transcripts, their lineage, artifacts."""
