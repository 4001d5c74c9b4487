"""The database itself: connections, transactions, locks, paging, migrations."""
