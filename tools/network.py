"""The network of a sandbox: what commands find in it, and the proxy that it leads to.

A sandbox has no network but its own loopback, on which a proxy outside of it listens. Programs use
the proxy because of the usual variables; ssh because of its configuration.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from domain.tools.calls import ToolInvocation
from domain.web.connections import NO_CONNECTIONS, Connection, ConnectionLog
from domain.web.network import (
    ANY,
    LOCALHOST,
    LOOPBACK,
    PROXY_HOST,
    PROXY_PORT,
    NetworkList,
    parse_entry,
)

_PROXY = f"http://{PROXY_HOST}:{PROXY_PORT}"

CERTIFICATES = (
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
    "/etc/ca-certificates/extracted",
)
"""Files of the host with the certificates that it trusts, on Debian, Fedora and Arch."""

_CONNECT = "/etc/ssh/connect_through_proxy"

# bash reads single bytes from a connection, so it takes no byte after the headers.
_CONNECT_SCRIPT = f"""
exec 3<>/dev/tcp/{PROXY_HOST}/{PROXY_PORT} || exit 1
printf 'CONNECT %s:%s HTTP/1.1\\r\\n\\r\\n' "$1" "$2" >&3
IFS= read -r line <&3
case $line in
  *" 200 "*) ;;
  *) printf '%s\\n' "${{line#* }}" >&2; exit 1 ;;
esac
while IFS= read -r line <&3 && [ "$line" != $'\\r' ]; do :; done
{{ cat <&3; kill "$$" 2>/dev/null; }} &
cat >&3
"""

# The address was checked by the proxy, and no person can confirm the key of a new host.
_SSH_CONFIG = f"""
Host *
  ProxyCommand /bin/bash {_CONNECT} %h %p
  StrictHostKeyChecking accept-new
"""
_HOSTS = "127.0.0.1 localhost\n::1 localhost\n"

FILES: Mapping[str, bytes] = {
    "/etc/ssh/ssh_config": _SSH_CONFIG.encode(),
    _CONNECT: _CONNECT_SCRIPT.encode(),
    "/etc/hosts": _HOSTS.encode(),
}
"""Files that only a sandbox with network has."""


class OpenedNetwork(Protocol):
    """The open proxy of one sandbox."""

    rest: ConnectionLog
    """What `take` has not returned; known after the end."""

    async def take(self) -> ConnectionLog:
        """Return the connections that ended since the last time."""


class SandboxNetwork(Protocol):
    """Opens the proxy for sandboxes."""

    def open(
        self, leader: int, allowed: NetworkList, journal: Path | None
    ) -> AbstractAsyncContextManager[OpenedNetwork]:
        """Let a sandbox connect to what is allowed, while the block lasts.

        `leader` is a process of the sandbox. The connections that are recorded are appended to
        `journal`, one JSON object per line.

        Raises:
            SandboxUnavailableError: the proxy can't be opened, with the reason.
        """


def environment(allowed: NetworkList) -> Mapping[str, str]:
    """Return the variables with which programs find the proxy."""
    return dict(_variables(allowed))


def _variables(allowed: NetworkList) -> Iterator[tuple[str, str]]:
    # A host of the list is outside, even if it is this machine.
    listed = [entry for entry in allowed.entries if entry.host != ANY]
    own = [
        host
        for host in (LOCALHOST, *LOOPBACK)
        if not any(entry.covers(parse_entry(host)) for entry in listed)
    ]
    values = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), _PROXY)
    # Servers that a command starts itself are in its sandbox.
    for name, value in {**values, "no_proxy": ",".join(own)}.items():
        yield name, value
        yield name.upper(), value
    yield "NODE_USE_ENV_PROXY", "1"


def journal_of(private: Path, call: ToolInvocation) -> Path:
    """Return the file with the connections of a call, until they are recorded with it."""
    digest = hashlib.sha256(f"{call.execution_id} {call.tool_use_id}".encode()).hexdigest()
    return private / f"connections-{digest[:32]}"


def read_journal(journal: Path) -> ConnectionLog:
    """Return the connections in a file. A line that was not written to its end is left out."""
    try:
        lines = journal.read_bytes().splitlines()
    except FileNotFoundError:
        return NO_CONNECTIONS
    found: list[Connection] = []
    for line in lines:
        with suppress(ValueError):
            found.append(Connection(**json.loads(line)))
    return NO_CONNECTIONS.with_connections(found)


def write_journal(journal: Path, connections: Iterable[Connection]) -> None:
    """Write the connections of a call to a file, in place of what it contains."""
    lines = (json.dumps(asdict(connection)) + "\n" for connection in connections)
    journal.write_text("".join(lines), encoding="utf-8")
