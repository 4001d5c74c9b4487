"""Gates: a turn with a gate is not answered until a test opens it, from any thread."""

import asyncio
from collections import defaultdict
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress


class Gates:
    """Named gates of one server. Each is closed until it is opened, and then remains open."""

    def __init__(self) -> None:
        self._opened: defaultdict[str, Future[None]] = defaultdict(Future)

    def open(self, name: str) -> None:
        """Send the answers that wait at this gate, and hold back no later ones."""
        with suppress(InvalidStateError):  # it is open already
            self._opened[name].set_result(None)

    async def wait(self, name: str) -> None:
        """Return when the gate is open."""
        # Shielded: a caller that stops waiting must not cancel the gate for the others.
        await asyncio.shield(asyncio.wrap_future(self._opened[name]))
