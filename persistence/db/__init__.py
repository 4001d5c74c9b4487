"""Connections, transactions, locks, paging, idempotency keys and migrations."""
