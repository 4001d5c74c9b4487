"""Databases for tests: clones of one that the real migrations made, emptied and used again.

Emptying a database costs a twentieth of cloning one. One that a test left larger, or with another
schema, is dropped instead.
"""

import asyncpg

from cli.stack.postgres import Postgres
from domain.ids import new_id
from persistence.db.migrate import migrate

TEMPLATE = "migrated"
MAX_GROWTH_BYTES = 8 * 1024 * 1024
"""Above this, tables have grown so much that other tests would read pages of dead rows (chosen)."""

_SCHEMA = """
SELECT count(*) AS entries, sum(xmin::text::bigint) AS versions,
    (SELECT sum(reltuples) FROM pg_class WHERE relnamespace = 'public'::regnamespace) AS statistics
FROM (
    SELECT xmin FROM pg_class
    UNION ALL SELECT xmin FROM pg_attribute
    UNION ALL SELECT xmin FROM pg_constraint
    UNION ALL SELECT xmin FROM pg_trigger
    UNION ALL SELECT xmin FROM pg_proc
) catalog
"""
"""Differs after a change of the schema (a catalog row has the id of the transaction that wrote it),
and after ANALYZE or VACUUM, which change the plans."""

_CLOSE_OTHER_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = """
SELECT quote_ident(tablename) AS name FROM pg_tables
WHERE schemaname = 'public' AND tablename <> 'alembic_version'
"""
_RESTART_SEQUENCES = (
    "SELECT setval(oid::regclass, 1, false) FROM pg_class"
    " WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace"
)


class Databases:
    """The databases of one server. Each has every table and no row when it is taken."""

    def __init__(self, server: Postgres, *, schema: asyncpg.Record, size_bytes: int) -> None:
        self._server = server
        self._schema = schema
        self._size_bytes = size_bytes
        self._free: list[str] = []

    @classmethod
    async def create(cls, server: Postgres) -> "Databases":
        """Make the template with the real migrations."""
        await _execute(server.url, f"CREATE DATABASE {TEMPLATE}")
        url = _url_of(server, TEMPLATE)
        await migrate(url)
        connection = await asyncpg.connect(url)
        try:
            schema = await connection.fetchrow(_SCHEMA)
            assert schema is not None
            size_bytes = await _size_of(connection)
        finally:
            await connection.close()
        return cls(server, schema=schema, size_bytes=size_bytes)

    async def take(self) -> str:
        """The URL of a database that no other test uses."""
        if self._free:
            return _url_of(self._server, self._free.pop())
        name = f"test_{new_id().hex}"
        await _execute(self._server.url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return _url_of(self._server, name)

    async def put_back(self, url: str) -> None:
        """Empty the database for the next test, or drop it if it can't be used again."""
        name = url.rpartition("/")[2]
        if await self._empty(url):
            self._free.append(name)
        else:
            await _execute(self._server.url, f"DROP DATABASE {name} WITH (FORCE)")

    async def _empty(self, url: str) -> bool:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(_CLOSE_OTHER_CONNECTIONS)
            if await connection.fetchrow(_SCHEMA) != self._schema:
                return False
            if await _size_of(connection) > self._size_bytes + MAX_GROWTH_BYTES:
                return False
            tables = [row["name"] for row in await connection.fetch(_TABLES)]
            # Without triggers and foreign keys: the audit log refuses DELETE otherwise.
            await connection.execute("SET session_replication_role = replica")
            await connection.execute("; ".join(f"DELETE FROM {table}" for table in tables))  # noqa: S608 - our own tables
            await connection.execute(_RESTART_SEQUENCES)
        finally:
            await connection.close()
        return True


async def _size_of(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT pg_database_size(current_database())"))


def _url_of(server: Postgres, database: str) -> str:
    return f"{server.url.rpartition('/')[0]}/{database}"


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
