"""Looks up host names, for requests to URLs from users and for the network of tools."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from domain.errors import OutboundError

_LOOK_UPS = ThreadPoolExecutor(32, "look-up")
"""Separate threads: a look-up can't be cancelled, and a user's name server may be slow. In the
default executor, look-ups would delay model calls and files (chosen: with eight of one slow call at
a time, others still get a thread; a thread starts only when it is needed)."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a host, best first, or raises `OutboundError`."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host name, best first, from the resolver of this machine.

    Raises:
        OutboundError: the name does not exist, or no name server answers.
    """
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        found = await asyncio.get_running_loop().run_in_executor(_LOOK_UPS, look_up)
    except (OSError, UnicodeError) as error:
        raise OutboundError(f"The host name {host} can't be resolved.") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
