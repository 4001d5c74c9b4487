"""What a tool call connected to, as it is recorded with the call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

MAX_RECORDED = 100
"""Connections of one call that are recorded one by one; more are only counted (chosen: with 300
bytes for each, a record has at most 30 KB)."""

MAX_REASON = 300
"""Characters of a reason (chosen)."""

MAX_SHOWN = 5
"""Refused connections in the result that the model reads (chosen)."""

Verdict = Literal["allowed", "refused", "failed"]
"""`failed`: it was allowed, but the host could not be reached."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection. `reason` says why it was refused, failed or ended."""

    host: str
    port: int
    verdict: Verdict
    reason: str | None = None
    address: str | None = None
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ConnectionLog:
    """The connections of one call in the order of their ends; the counts include all of them."""

    connections: tuple[Connection, ...] = ()
    total: int = 0
    refused: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0

    def __bool__(self) -> bool:
        return self.total > 0

    def with_connections(self, added: Iterable[Connection]) -> "ConnectionLog":
        """Return the log with more connections."""
        new = tuple(added)
        room = MAX_RECORDED - len(self.connections)
        return ConnectionLog(
            (*self.connections, *new[: max(room, 0)]),
            self.total + len(new),
            self.refused + sum(c.verdict == "refused" for c in new),
            self.sent_bytes + sum(c.sent_bytes for c in new),
            self.received_bytes + sum(c.received_bytes for c in new),
        )

    def plus(self, later: "ConnectionLog") -> "ConnectionLog":
        """Return the log with that of a repetition of the call."""
        return ConnectionLog(
            (*self.connections, *later.connections)[:MAX_RECORDED],
            self.total + later.total,
            self.refused + later.refused,
            self.sent_bytes + later.sent_bytes,
            self.received_bytes + later.received_bytes,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the log as it is stored."""
        return asdict(self)


NO_CONNECTIONS = ConnectionLog()


def read_connections(stored: Mapping[str, Any] | None) -> ConnectionLog:
    """Return a stored log."""
    if stored is None:
        return NO_CONNECTIONS
    connections = tuple(Connection(**connection) for connection in stored["connections"])
    return ConnectionLog(**{**stored, "connections": connections})


def describe_refused(log: ConnectionLog) -> str:
    """Return a line for each refused connection, for the model; empty if there is none."""
    refused = [c for c in log.connections if c.verdict != "allowed"]
    lines = dict.fromkeys(f"[no connection to {c.host}:{c.port}: {c.reason}]" for c in refused)
    return "\n".join(list(lines)[:MAX_SHOWN])


def describe_connections(log: ConnectionLog) -> str | None:
    """Return what a call connected to, in a few words for people; None if to nothing."""
    if not log:
        return None
    hosts = list(dict.fromkeys(f"{c.host}:{c.port}" for c in log.connections))
    shown = ", ".join(hosts[:MAX_SHOWN]) + (" and others" if len(hosts) > MAX_SHOWN else "")
    refused = f", {log.refused} refused" if log.refused else ""
    sizes = f"{log.sent_bytes:,} bytes sent, {log.received_bytes:,} received"
    return f"{shown} ({sizes}{refused})"


def summarize(log: ConnectionLog) -> Mapping[str, int | Sequence[str]]:
    """Return the counts of a log and its hosts, for events."""
    hosts = list(dict.fromkeys(f"{c.host}:{c.port}" for c in log.connections))
    return {
        "connections": log.total,
        "refused": log.refused,
        "hosts": hosts[:MAX_SHOWN],
        "sent_bytes": log.sent_bytes,
        "received_bytes": log.received_bytes,
    }
