"""The Temporal client of a process, its calls, and the search attributes of the namespace."""

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import TypeVar

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter
from temporalio.service import RPCError, RPCStatusCode

from contracts.names import SEARCH_ATTRIBUTES
from domain.errors import PerdureError
from runtime.settings import Settings

NOT_ALLOWED = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})

DEFAULT_ADDRESS = "127.0.0.1:7233"

RPC_TIMEOUT = timedelta(seconds=2)
"""After this, a request leaves the call to the relay, which sends rows that are older than two
seconds. A healthy start takes 5-40 ms (measured)."""

log = structlog.get_logger(__name__)

T = TypeVar("T")


_ENCODINGS = tuple(PydanticPayloadConverter().converters.values())


class SharedPayloadConverter(CompositePayloadConverter):
    """Converts as `PydanticPayloadConverter`, with the same validators for all workflows.

    The SDK creates a converter for each workflow, and two for each of its tasks. A new
    `PydanticPayloadConverter` builds the validator of each type again.
    """

    def __init__(self) -> None:
        """Use the encodings of the process."""
        super().__init__(*_ENCODINGS)


DATA_CONVERTER = DataConverter(payload_converter_class=SharedPayloadConverter)


class TemporalUnavailableError(PerdureError):
    """Temporal cannot be reached, or refuses the credentials."""

    code = "temporal_unavailable"


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """Return a client for the namespace of the settings.

    With `lazy` it connects at its first call, so that the gateway can start before Temporal.

    Raises:
        TemporalUnavailableError: the server does not answer or refuses the key (never if `lazy`).
    """
    address = settings.temporal_address or DEFAULT_ADDRESS
    key = settings.temporal_api_key
    try:
        return await Client.connect(
            address,
            namespace=settings.temporal_namespace,
            api_key=key.get_secret_value() if key else None,
            tls=settings.temporal_tls or key is not None,
            data_converter=DATA_CONVERTER,
            lazy=lazy,
        )
    except RuntimeError as error:  # what the SDK's core raises when a connection fails
        raise TemporalUnavailableError(
            f"Temporal at {address} can't be reached ({error}). Check that it is running, and "
            "check PERDURE_TEMPORAL_ADDRESS, PERDURE_TEMPORAL_TLS and PERDURE_TEMPORAL_API_KEY."
        ) from error


async def try_call(
    call: Awaitable[T], action: str, *, limit: timedelta = RPC_TIMEOUT, **fields: str
) -> T | None:
    """Await a call to Temporal. If it fails or exceeds `limit`, log that and return None."""
    try:
        async with asyncio.timeout(limit.total_seconds()):
            return await call
    except (RPCError, RuntimeError, TimeoutError) as error:
        # A lazy client that cannot connect raises RuntimeError.
        log.warning("temporal.call_failed", action=action, error=str(error), **fields)
        return None


async def register_search_attributes(client: Client) -> None:
    """Register the search attributes of our workflows with the namespace. A repeat does nothing.

    Every worker does this when it starts. If the server does not allow clients to register them
    (Temporal Cloud), the log shows which ones an operator has to add.
    """
    types = {name: _to_indexed_type(kind) for name, kind in SEARCH_ATTRIBUTES.items()}
    try:
        known = await client.operator_service.list_search_attributes(
            ListSearchAttributesRequest(namespace=client.namespace)
        )
        missing = {n: kind for n, kind in types.items() if n not in known.custom_attributes}
        if missing:
            await client.operator_service.add_search_attributes(
                AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
            )
    except RPCError as error:
        if error.status not in NOT_ALLOWED:
            raise
        add = dict(SEARCH_ATTRIBUTES)
        log.warning("search_attributes.not_registered", add=add, error=error.message)


def _to_indexed_type(kind: str) -> "IndexedValueType.ValueType":
    """Convert the name of a type: `KeywordList` is INDEXED_VALUE_TYPE_KEYWORD_LIST on the wire."""
    words = "".join(f"_{letter}" if letter.isupper() else letter for letter in kind).upper()
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE{words}")
