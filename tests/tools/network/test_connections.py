"""What a sandboxed command with network reaches, and what is recorded about it."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from domain.web.connections import read_connections
from runtime.network import OwnEndpoint
from tests.runtime.receiver import Receiver, answer, certificate_for, receiving
from tests.tools.conftest import until
from tests.tools.network.conftest import Connect

DIRECT = """
import socket
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    for host in ("127.0.0.1", "1.1.1.1"):
        for port in ({port}, 53):
            with socket.socket(socket.AF_INET, kind) as s:
                s.settimeout(1)
                try:
                    s.connect((host, port)); s.send(b"x"); print(s.recv(1))
                except OSError as error: print("no way:", error)
for family in (socket.AF_PACKET, socket.AF_VSOCK):
    try: socket.socket(family, socket.SOCK_STREAM)
    except OSError as error: print("no way:", error)
try: print(socket.getaddrinfo("example.com", 80))
except OSError as error: print("no way:", error)
"""


def url(receiver: Receiver, host: str = "localhost") -> str:
    return f"http://{host}:{receiver.port}/page"


async def test_curl_reaches_an_allowed_host_and_nothing_else(connect: Connect) -> None:
    async with receiving(answer(200, b"hello")) as allowed, receiving() as other:
        calls = connect(f"localhost:{allowed.port}")
        outcome = await calls(
            "bash",
            command=f"curl -sS {url(allowed)}; curl -sS {url(other)}; "
            f"curl -sS --noproxy '*' --max-time 2 {url(allowed, '127.0.0.1')}",
        )
    assert "hello" in outcome.text
    assert f"[no connection to localhost:{other.port}: " in outcome.text
    assert "is not in the network list of this execution" in outcome.text
    [request] = allowed.received
    assert request.headers["host"] == f"localhost:{allowed.port}"
    assert not other.received
    first, second = outcome.connections.connections
    assert (first.host, first.port, first.verdict) == ("localhost", allowed.port, "allowed")
    assert first.address in ("127.0.0.1", "::1")
    assert first.received_bytes > len("hello")
    assert first.sent_bytes > len("GET /page")
    assert (second.verdict, second.sent_bytes, second.address) == ("refused", 0, None)
    assert (outcome.connections.total, outcome.connections.refused) == (2, 1)
    assert read_connections(outcome.connections.as_json()) == outcome.connections


async def test_socks_and_tunnels_reach_the_same_hosts(connect: Connect) -> None:
    async with receiving(answer(200, b"hello")) as receiver:
        calls = connect(f"localhost:{receiver.port}")
        for option in ("-x socks5h://127.0.0.1:3128", "-x socks5://127.0.0.1:3128", "-p"):
            text = await calls.bash(f"curl -sS {option} {url(receiver)}")
            # With socks5, curl itself resolves the name, to an address that is not listed.
            assert ("hello" in text) is (option != "-x socks5://127.0.0.1:3128"), text
        assert len(receiver.received) == 2


async def test_tls_must_name_the_host_of_the_connection(connect: Connect, tmp_path: Path) -> None:
    server, _ = certificate_for(["localhost", "other.example"], tmp_path)
    async with receiving(answer(200, b"secure"), tls=server) as receiver:
        calls = connect(f"localhost:{receiver.port}")
        (calls.workspace / "ca.pem").write_bytes((tmp_path / "server.pem").read_bytes())
        address = f"https://localhost:{receiver.port}/"
        assert "secure" in await calls.bash(f"curl -sS --cacert ca.pem {address}")
        elsewhere = f"other.example:{receiver.port}:localhost:{receiver.port}"
        text = await calls.bash(
            f"curl -sS --cacert ca.pem --connect-to {elsewhere} "
            f"https://other.example:{receiver.port}/"
        )
        assert "starts TLS for other.example, which is another server" in text
        assert len(receiver.received) == 1


async def test_an_own_port_is_refused_although_it_is_listed(connect: Connect) -> None:
    async with receiving() as receiver:
        calls = connect(
            f"localhost:{receiver.port}",
            f"127.0.0.0/8:{receiver.port}",
            own=(OwnEndpoint("127.0.0.1", receiver.port),),
        )
        for host in ("localhost", "127.0.0.1", "127.0.0.2"):
            assert "belongs to Perdure itself" in await calls.bash(f"curl {url(receiver, host)}")
        assert not receiver.received


async def test_there_is_no_way_around_the_proxy(connect: Connect) -> None:
    async with receiving() as receiver:
        calls = connect(f"localhost:{receiver.port}")
        (calls.workspace / "direct.py").write_text(DIRECT.format(port=receiver.port))
        assert (await calls.bash("python3 direct.py")).count("no way") == 11
        assert not receiver.received


async def test_a_server_of_the_command_itself_is_not_behind_the_proxy(connect: Connect) -> None:
    calls = connect("api.example:443")
    text = await calls.bash(
        "echo inside > page; python3 -m http.server 8080 >/dev/null 2>&1 & "
        "curl -sS --retry 20 --retry-connrefused --retry-delay 1 http://localhost:8080/page"
    )
    assert "inside" in text


async def test_without_a_list_there_is_no_proxy(connect: Connect) -> None:
    outcome = await connect()("bash", command="env; curl http://127.0.0.1:3128/")
    assert "proxy=" not in outcome.text
    assert "Failed to connect" in outcome.text
    assert not outcome.connections


async def test_many_connections_are_counted_and_a_hundred_are_kept(connect: Connect) -> None:
    async with receiving() as receiver:
        calls = connect("localhost:1")
        command = f"for i in $(seq 120); do curl -s -o /dev/null {url(receiver)}; done"
        connections = (await calls("bash", command=command)).connections
    assert (connections.total, connections.refused) == (120, 120)
    assert len(connections.connections) == 100


async def test_an_interrupted_call_leaves_its_connections(connect: Connect) -> None:
    async with receiving(answer(200, b"hello")) as receiver:
        calls = connect(f"localhost:{receiver.port}")
        command = f"curl -sS {url(receiver)} > got; sleep 60"
        invocation = calls.invocation("bash", command=command)
        running = asyncio.create_task(calls.run(invocation))
        await until((calls.workspace / "got").exists)
        await until(lambda: (calls.workspace / "got").read_text() == "hello")
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        left = await calls.toolbox.list_connections(invocation)
        assert [(c.host, c.verdict) for c in left.connections] == [("localhost", "allowed")]
        assert await calls.toolbox.list_connections(invocation) == left
        await calls.toolbox.forget_connections(invocation)
        assert not await calls.toolbox.list_connections(invocation)


async def test_a_finished_call_leaves_its_connections_until_they_are_recorded(
    connect: Connect,
) -> None:
    async with receiving(answer(200, b"hello")) as receiver:
        calls = connect(f"localhost:{receiver.port}")
        invocation = calls.invocation("bash", command=f"curl -sS {url(receiver)}")
        outcome = await calls.run(invocation)
        assert outcome.connections
        assert await calls.toolbox.list_connections(invocation) == outcome.connections
        await calls.toolbox.forget_connections(invocation)
        assert not await calls.toolbox.list_connections(invocation)


async def test_after_the_proxy_was_killed_the_next_command_has_network(connect: Connect) -> None:
    async with receiving(answer(200, b"hello")) as receiver:
        calls = connect(f"localhost:{receiver.port}")
        assert "hello" in await calls.bash(f"curl -sS {url(receiver)}")
        for pid in _proxy_processes():
            os.kill(pid, signal.SIGKILL)
        assert "hello" in await calls.bash(f"curl -sS {url(receiver)}")


def _proxy_processes() -> list[int]:
    """The children of this process that are proxies."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, line in lines.items() if b"runtime.egress.process" in line]


async def test_the_record_of_a_call_fits_into_one_message(connect: Connect) -> None:
    calls = connect("localhost:1")
    host = "a" * 60 + ".example"
    command = f"for i in $(seq 100); do curl -s -o /dev/null http://{host}.{host}.{host}/; done"
    connections = (await calls("bash", command=command)).connections
    assert len(connections.connections) == 100
    assert len(json.dumps(connections.as_json())) < 100_000
