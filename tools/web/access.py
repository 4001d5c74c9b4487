"""What the web tools need from outside: HTTP to checked addresses, and the secrets of users."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

import httpx2

from domain.web.connections import Connection
from domain.web.network import NetworkList

OpenSecret = Callable[[UUID, str, str, str], Awaitable[str]]
"""Returns the value of a user's secret: user, `secret://name`, host that gets it, tool. Raises
SecretUnusableError if it does not exist, or is not for this host and tool."""


class WebClient(Protocol):
    """Sends requests (`runtime.outbound.Outbound`)."""

    def stream(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        timeout: timedelta,
    ) -> AbstractAsyncContextManager[httpx2.Response]:
        """Send a request and read the body in the block; redirects are not followed.

        Raises:
            AddressRefusedError: the host or its address is not allowed.
            OutboundError: no complete response arrived in time.
        """
        ...


@dataclass(frozen=True, slots=True)
class WebAccess:
    """How the tools of a worker reach the web."""

    connect: Callable[[NetworkList, Callable[[Connection], None]], WebClient]
    """Returns a client for the hosts of a list, which passes each connection on when it ends."""
    open_secret: OpenSecret
