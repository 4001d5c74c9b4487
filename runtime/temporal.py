"""The Temporal client of a process, and the search attributes the namespace must know."""

from collections.abc import Mapping

import structlog
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from contracts.names import SEARCH_ATTRIBUTES
from domain.errors import PerdureError
from runtime.settings import Settings

NOT_ALLOWED = frozenset({RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNIMPLEMENTED})

log = structlog.get_logger(__name__)

DEFAULT_ADDRESS = "127.0.0.1:7233"


class TemporalUnavailableError(PerdureError):
    """Temporal can't be reached, or does not let us in."""

    code = "temporal_unavailable"


async def connect(settings: Settings, *, lazy: bool = False) -> Client:
    """A client for the namespace of the settings.

    With `lazy` it connects at its first call: the gateway starts while Temporal is away.

    Raises:
        TemporalUnavailableError: nobody answers there, or the key is refused (never when lazy).
    """
    address = settings.temporal_address or DEFAULT_ADDRESS
    key = settings.temporal_api_key
    try:
        return await Client.connect(
            address,
            namespace=settings.temporal_namespace,
            api_key=key.get_secret_value() if key else None,
            tls=settings.temporal_tls or key is not None,
            data_converter=pydantic_data_converter,
            lazy=lazy,
        )
    except RuntimeError as error:  # what the SDK's core raises when a connection fails
        raise TemporalUnavailableError(
            f"Temporal at {address} can't be reached ({error}). Is it running, and is "
            "PERDURE_TEMPORAL_ADDRESS (PERDURE_TEMPORAL_TLS, PERDURE_TEMPORAL_API_KEY) right?"
        ) from error


async def register_search_attributes(
    client: Client, wanted: Mapping[str, str] = SEARCH_ATTRIBUTES
) -> None:
    """Make the namespace know the attributes our workflows carry; harmless when it does already.

    Every worker does it at its start. A server that does not let clients register any (Temporal
    Cloud) is told of in the log with what to add; when they are there, nothing is lost.
    """
    types = {name: _indexed_type(kind) for name, kind in wanted.items()}
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
        log.warning("search_attributes.not_registered", add=dict(wanted), error=error.message)


def _indexed_type(kind: str) -> "IndexedValueType.ValueType":
    """`KeywordList` is INDEXED_VALUE_TYPE_KEYWORD_LIST on the wire."""
    words = "".join(f"_{letter}" if letter.isupper() else letter for letter in kind).upper()
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE{words}")
