"""The Temporal client of a process, and the search attributes the namespace must know."""

from collections.abc import Mapping

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.names import SEARCH_ATTRIBUTES
from domain.errors import PerdureError
from runtime.settings import Settings

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

    Raises:
        RPCError: the namespace refuses (Temporal Cloud wants them added by its own tools).
    """
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    types = {name: _indexed_type(kind) for name, kind in wanted.items()}
    missing = {name: kind for name, kind in types.items() if name not in known.custom_attributes}
    if missing:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=missing)
        )


def _indexed_type(kind: str) -> "IndexedValueType.ValueType":
    """`KeywordList` is INDEXED_VALUE_TYPE_KEYWORD_LIST on the wire."""
    words = "".join(f"_{letter}" if letter.isupper() else letter for letter in kind).upper()
    return IndexedValueType.Value(f"INDEXED_VALUE_TYPE{words}")
