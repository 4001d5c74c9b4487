"""Commands that attack the proxy which all sandboxes of a worker share."""

import asyncio
import os
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from domain.web.connections import MAX_RECORDED
from domain.web.network import NetworkList
from runtime.egress.client import EgressProxy
from tests.tools.conftest import until
from tests.tools.network.conftest import Connect

ASK = """
import socket
for number in range(150):
    with socket.create_connection(("127.0.0.1", 3128)) as client:
        client.sendall(b"CONNECT " + {host!a}.encode("latin-1") + b":80 HTTP/1.1\\r\\n\\r\\n")
        client.recv(1000)
"""


async def test_a_record_of_odd_names_fits_into_one_message(connect: Connect) -> None:
    calls = connect("localhost:1")
    (calls.workspace / "ask.py").write_text(ASK.format(host='é"\x1b' * 200))
    connections = (await calls("bash", command="python3 ask.py")).connections
    assert (connections.total, len(connections.connections)) == (150, MAX_RECORDED)
    assert all(c.host.isascii() and c.host.isprintable() for c in connections.connections)
    assert all((c.reason or "").isprintable() for c in connections.connections)


async def test_a_journal_has_only_what_is_recorded(connect: Connect) -> None:
    calls = connect("localhost:1")
    (calls.workspace / "ask.py").write_text(ASK.format(host="other.example"))
    invocation = calls.invocation("bash", command="python3 ask.py && touch asked && sleep 60")
    running = asyncio.create_task(calls.run(invocation))
    await until((calls.workspace / "asked").exists)
    [journal] = calls.toolbox.workspaces.private.glob("connections-*")
    assert len(journal.read_text().splitlines()) == MAX_RECORDED
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_many_commands_with_long_lists_start_at_once(connect: Connect) -> None:
    name = ".".join("a" * 60 for _ in range(3))
    calls = connect(*(f"{name}.host{number}.example" for number in range(100)))
    outcomes = await asyncio.gather(*(calls("bash", command="true") for _ in range(16)))
    assert not any(outcome.is_error for outcome in outcomes)


async def test_a_cancelled_opening_is_closed_again(tmp_path: Path) -> None:
    network = NetworkList.parse(["localhost"])
    proxy = EgressProxy(network, ())
    async with _namespace() as leader:
        async with proxy.open(leader, network, tmp_path / "journal"):
            pass
        opening = asyncio.create_task(
            proxy.open(leader, network, tmp_path / "journal").__aenter__()
        )
        for _ in range(5):  # the request is sent, and not answered yet
            await asyncio.sleep(0)
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening
        # A socket that is still open would have the address.
        async with proxy.open(leader, network, tmp_path / "journal"):
            pass
    await proxy.close()


@asynccontextmanager
async def _namespace() -> AsyncIterator[int]:
    """A process in a network namespace with a loopback."""
    process: Process = await asyncio.create_subprocess_exec(
        *("unshare", "--user", "--map-root-user", "--net", "sleep", "60")
    )
    program = Path(f"/proc/{process.pid}/cmdline")
    await until(lambda: program.read_bytes().startswith(b"sleep"))
    try:
        yield process.pid
    finally:
        os.kill(process.pid, 9)
        await process.wait()
