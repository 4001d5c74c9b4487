"""Postgres: tables, migrations, and every SQL statement. Rows in, rows out; decides nothing."""
