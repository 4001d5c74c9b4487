"""Query plans: each query of each list route uses an index, with many rows in the tables.

The test reads the OpenAPI document, so it covers a new list or filter without a change here, or
fails until `VALUES` has a value for the filter.
"""

import itertools
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import event, text

from api.gateway import Gateway
from bench import many
from domain.ids import new_id
from persistence.db.database import Database
from tests.api.test_isolation import ROUTES, Owner, Route
from tests.api.world import World

EXECUTIONS = 30_000
FEW = 2_000
"""How many rows may be sorted: a page, or the rows that a narrow filter matches."""

PAGINATION = {"page", "page_size", "cursor"}
ID = str(new_id())
VALUES: dict[str, str] = {
    "status": "failed",
    "statuses": "failed",
    "trigger_type": "webhook",
    "agent_id": "nobody",
    "tag": "tag-4",
    "tags": "tag-4",
    "q": "many",
    "is_scheduled": "true",
    "is_active": "true",
    "is_interactive": "true",
    "is_builtin": "false",
    "is_disabled": "false",
    "is_mentioned": "true",
    "kind": "question",
    "assignee": "many-2",
    "entity_type": "execution",
    "action": "task.execute",
    "actor": "many-1",
    "from": "2026-06-01T00:00:00Z",
    "to": "2026-06-02T00:00:00Z",
    "created_from": "2026-06-01T00:00:00Z",
    "created_to": "2026-06-02T00:00:00Z",
    "id_prefix": "019aa1b2",
    "all_users": "true",
    "format": "html",
    "role": "user",
    "subject": "many-1",
    "owner": "many-1",
    "namespace_prefix": "user:many",
    "type": "semantic",
    "limit": "20",
    "after": "0",
}
"""A value for each filter; filters that end in `_id` take an id."""

VALUES_BY_LIST = {
    "status": {"input-requests": "answered", "notifications": "failed"},
    "kind": {"notifications": "webhook"},
}
"""Filters with another meaning in some lists."""


def filters(route: Route) -> list[str]:
    given = [p["name"] for p in route.operation.get("parameters", []) if p["in"] == "query"]
    return [name for name in given if name not in PAGINATION]


def value(route: Route, name: str) -> str:
    if name in VALUES_BY_LIST and route.resource in VALUES_BY_LIST[name]:
        return VALUES_BY_LIST[name][route.resource]
    if name not in VALUES and name.endswith("_id"):
        return ID
    assert name in VALUES, f"VALUES lacks {name!r}, a filter of {route.name}"
    return VALUES[name]


FILTERS_OF_ADMINS = {"user_id", "all_users"}


def queries(route: Route, role: str) -> Iterator[Mapping[str, str]]:
    """No filter, each filter alone, and each pair of filters."""
    names = [n for n in filters(route) if role == "admin" or n not in FILTERS_OF_ADMINS]
    for chosen in itertools.chain([()], ((n,) for n in names), itertools.combinations(names, 2)):
        yield {name: value(route, name) for name in chosen}


def is_list(route: Route) -> bool:
    content = route.operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    return route.method == "GET" and "Listing" in schema.get("$ref", "")


NOT_IN_POSTGRES = {"GET /task-executions/{execution_id}/files": "a directory"}
"""Lists whose items are not in Postgres, each with where they are."""

LISTS = [route for route in ROUTES if is_list(route) and route.name not in NOT_IN_POSTGRES]


FOR_ADMINS = {"GET /admin/users"}


@dataclass(frozen=True, slots=True)
class Reader:
    """The user who requests the lists."""

    role: str
    owner: Owner


@pytest.fixture(scope="module")
async def many_rows(world: World) -> World:
    database = world.gateway.database
    async with database.transaction() as session:
        await many.fill(session, EXECUTIONS)
    async with database.engine.connect() as connection:
        commit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await commit.execute(text("VACUUM ANALYZE"))
    return world


@pytest.fixture(scope="module", params=["user", "admin"])
async def reader(many_rows: World, request: pytest.FixtureRequest) -> AsyncIterator[Reader]:
    async with many_rows.client("many-1", role=request.param) as client:
        yield Reader(request.param, Owner(client, f"plans-{new_id().hex}"))


@contextmanager
def record_statements(gateway: Gateway) -> Iterator[list[tuple[str, Any]]]:
    """The statements that the gateway runs in the block."""
    found: list[tuple[str, Any]] = []
    engine = gateway.database.engine.sync_engine

    def record(*args: Any) -> None:
        found.append((args[2], args[3]))

    event.listen(engine, "before_cursor_execute", record)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", record)


async def plan_of(database: Database, statement: str, parameters: Any) -> dict[str, Any]:
    """The plan that Postgres chooses if it may read a whole table only where no index fits."""
    async with database.engine.connect() as connection:
        await connection.execute(text("SET LOCAL enable_seqscan = off"))
        explained = await connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {statement}", parameters
        )
        plan: dict[str, Any] = explained.scalar_one()[0]["Plan"]
        return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", []):
        yield from nodes(child)


SCANNED = {"users": "nearly all of them are not disabled, and the count stops at its bound"}
"""Tables that Postgres may scan from the start, each with the reason."""


def faults(plan: dict[str, Any], *, may_filter: bool, may_scan: bool) -> list[str]:
    """Scans of whole tables, with or without an index, and sorts of more than a few rows.

    With two filters, an index may serve one; Postgres then discards the rows the other excludes.
    A list of all users, which admins rarely read, may scan: indexes begin with the user, and the
    count stops at its bound.
    """
    found = []
    for node in nodes(plan):
        is_scan = node["Node Type"] == "Seq Scan" and not may_scan
        if is_scan and node["Relation Name"] not in SCANNED:
            found.append(f"{node['Relation Name']} is read whole")
        filtered = node.get("Rows Removed by Filter", 0)
        if (
            "Index" in node["Node Type"]
            and "Index Cond" not in node
            and filtered > FEW
            and not may_filter
        ):
            found.append(f"{filtered} rows of {node['Index Name']} are read and discarded")
        if node["Node Type"] == "Sort":
            rows = sum(child["Actual Rows"] for child in node["Plans"])
            if rows > FEW:
                found.append(f"{rows} rows are sorted by {node['Sort Key']}")
    return found


@pytest.mark.parametrize("route", LISTS, ids=lambda route: route.name)
async def test_list_queries_use_an_index(many_rows: World, reader: Reader, route: Route) -> None:
    path = await reader.owner.path(many_rows, route) if route.parameters else route.path
    for query in queries(route, reader.role):
        with record_statements(many_rows.gateway) as statements:
            first = await reader.owner.client.get(path, params={**query, "page_size": "5"})
            if reader.role == "user" and route.name in FOR_ADMINS:
                assert first.status_code == 403
                return
            assert first.status_code == 200, f"{query}: {first.text}"
            if cursor := first.json().get("next_cursor"):
                behind = {**query, "page_size": "5", "cursor": cursor}
                second = await reader.owner.client.get(path, params=behind)
                assert second.status_code == 200, second.text
        assert statements, "the gateway ran no statement"
        for statement, parameters in statements:
            if statement.lstrip().upper().startswith(("SELECT", "WITH")):
                plan = await plan_of(many_rows.gateway.database, statement, parameters)
                found = faults(plan, may_filter=len(query) > 1, may_scan="all_users" in query)
                assert not found, f"{route.name} {query}: {found}\n{statement}"
