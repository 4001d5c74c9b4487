"""The embedded servers, alone."""

import asyncpg
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from contracts.names import SEARCH_ATTRIBUTES
from runtime.temporal import register_search_attributes


async def test_a_database_of_ones_own_has_every_table(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    collation = await connection.fetchval(
        "SELECT datlocale FROM pg_database WHERE datname = current_database()"
    )
    await connection.close()
    assert "executions" in {row["tablename"] for row in names}
    assert collation == "C.UTF-8"


async def test_search_attributes_are_registered_again_without_harm(
    temporal_client: Client,
) -> None:
    await register_search_attributes(temporal_client)
    known = await temporal_client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )
    assert set(SEARCH_ATTRIBUTES) <= set(known.custom_attributes)
