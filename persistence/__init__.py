"""Postgres: tables, repositories, unit of work, migrations. Every SQL statement lives here."""
