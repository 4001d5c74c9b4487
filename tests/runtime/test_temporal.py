"""The Temporal client against a real server, and against none."""

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client

from cli.stack.addresses import free_port
from contracts.names import SEARCH_ATTRIBUTES
from runtime.settings import Settings
from runtime.temporal import TemporalUnavailableError, connect, register_search_attributes


async def test_search_attributes_are_registered_again_without_harm(
    temporal_client: Client,
) -> None:
    await register_search_attributes(temporal_client)
    known = await temporal_client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=temporal_client.namespace)
    )
    assert set(SEARCH_ATTRIBUTES) <= set(known.custom_attributes)


async def test_the_error_of_an_unreachable_server_names_the_settings() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(TemporalUnavailableError, match=f"{address}.*PERDURE_TEMPORAL_ADDRESS"):
        await connect(Settings(temporal_address=address))


async def test_a_lazy_client_connects_at_its_first_call(temporal_address: str) -> None:
    client = await connect(Settings(temporal_address=temporal_address), lazy=True)
    info = await client.workflow_service.get_system_info(GetSystemInfoRequest())
    assert info.server_version
