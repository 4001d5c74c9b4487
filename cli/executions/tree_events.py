"""The events of an execution and of its subtasks, as one stream."""

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread

from cli.connection.client import Client, RefusedError, StreamedEvent

MOST_STREAMS = 10
"""Streams at once; further subtasks are not followed. A gateway allows a user 100 (chosen)."""

JOIN_SECONDS = 10.0
"""How long the events of a subtask may come after its end (chosen)."""

Sourced = tuple[str, StreamedEvent]
"""The id of an execution, and an event of it."""


class TreeEvents:
    """Reads each stream in a thread of its own. The events of a subtask come before its end."""

    def __init__(self, client: Client, execution_id: str) -> None:
        """Reads nothing yet."""
        self._client = client
        self._root = execution_id
        self._received: SimpleQueue[Sourced | Exception | None] = SimpleQueue()
        self._readers: dict[str, Thread] = {}

    def __iter__(self) -> Iterator[Sourced]:
        """The events until the last one of the execution itself.

        Raises:
            UnreachableError, RefusedError: as `Client.stream_events`.
        """
        self._start(self._root)
        while (received := self._received.get()) is not None:
            if isinstance(received, Exception):
                raise received
            yield received

    def _start(self, execution_id: str) -> None:
        reader = Thread(target=self._read, args=(execution_id,), daemon=True)
        self._readers[execution_id] = reader
        reader.start()

    def _read(self, execution_id: str) -> None:
        """Pass on the events of one execution, and read those of its subtasks."""
        try:
            for event in self._client.stream_events(execution_id):
                subtask = str(event.data.get("execution_id"))
                if event.type == "subtask.completed" and subtask in self._readers:
                    self._readers[subtask].join(JOIN_SECONDS)
                self._received.put((execution_id, event))
                if event.type == "subtask.started" and self._may_read(subtask):
                    self._start(subtask)
        except Exception as error:  # noqa: BLE001 - the thread that prints raises it
            # A person who must decide about an execution may not read its subtasks.
            if execution_id == self._root or not isinstance(error, RefusedError):
                self._received.put(error)
        if execution_id == self._root:
            self._received.put(None)

    def _may_read(self, execution_id: str) -> bool:
        running = [reader for reader in self._readers.values() if reader.is_alive()]
        return execution_id not in self._readers and len(running) < MOST_STREAMS
