"""The guarded HTTP client with real sockets on loopback and a resolver of the tests."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from domain.errors import AddressRefusedError, OutboundError
from runtime.outbound import Outbound
from runtime.resolution import Resolve, system_resolve
from tests.runtime.receiver import answer, certificate_for, dripping, receiving

SHORT = timedelta(seconds=0.3)


def resolving(*answers: Sequence[str]) -> Resolve:
    """Return a resolver that returns these answers in order, then repeats the last one."""
    left = list(answers)

    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/", "http://127.1:8080/", "http://2130706433/", "http://0x7f000001/",
        "http://localhost:8000/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/", "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/", "http://[fe80::1]/", "http://0.0.0.0/",
    ],
)  # fmt: skip
async def test_addresses_that_are_not_public_are_refused(url: str) -> None:
    outbound = Outbound()
    with pytest.raises(AddressRefusedError, match="not a public address"):
        await outbound.send("POST", url)
    await outbound.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "file:///etc/passwd", "example.com", "https://", "http:///path",
        "https://user:secret@example.com/", "http://example.com:22/", "http://example.com:25/",
        "http://example.com:0/", "http://example.com:70000/", "https://example.com/" + "a" * 2048,
        "javascript:alert(1)", "http://exa mple.com/", "",
    ],
)  # fmt: skip
async def test_invalid_urls_are_refused(url: str) -> None:
    outbound = Outbound(["0.0.0.0/0"])
    with pytest.raises(AddressRefusedError):
        await outbound.send("POST", url)
    await outbound.aclose()


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.1.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1"]
)
async def test_a_name_of_a_private_address_is_refused(address: str) -> None:
    outbound = Outbound(resolve=resolving([address]))
    with pytest.raises(AddressRefusedError, match=r"hooks\.example is not a public address"):
        await outbound.send("POST", "https://hooks.example/in")
    await outbound.aclose()


async def test_a_listed_host_is_reached_with_its_own_name() -> None:
    async with receiving(answer(200, b"thanks", X_Seen="yes")) as receiver:
        outbound = Outbound(["hooks.example"], resolve=resolving(["127.0.0.1"]))
        response = await outbound.send(
            "POST",
            f"http://hooks.example:{receiver.port}/in?a=b",
            headers={"content-type": "application/json"},
            content=b"{}",
        )
        await outbound.aclose()
    assert (response.status, response.body, response.is_cut) == (200, b"thanks", False)
    assert response.headers["x-seen"] == "yes"
    got = receiver.received[0]
    assert (got.method, got.path, got.body) == ("POST", "/in?a=b", b"{}")
    assert got.headers["host"] == f"hooks.example:{receiver.port}"


async def test_the_name_is_resolved_once() -> None:
    """A name that changes between the check and the connection (DNS rebinding) has no effect: the
    connection is made to the address that was checked."""
    async with receiving() as receiver:
        outbound = Outbound(["127.0.0.2/32"], resolve=resolving(["127.0.0.2"], ["127.0.0.1"]))
        with pytest.raises(OutboundError):
            await outbound.send("POST", f"http://hooks.example:{receiver.port}/")
        with pytest.raises(AddressRefusedError):
            await outbound.send("POST", f"http://hooks.example:{receiver.port}/")
        await outbound.aclose()
    assert receiver.received == []


async def test_private_addresses_of_a_mixed_name_are_not_used() -> None:
    async with receiving() as receiver:
        outbound = Outbound(["127.0.0.2"], resolve=resolving(["127.0.0.1", "127.0.0.2"]))
        with pytest.raises(OutboundError):
            await outbound.send("POST", f"http://hooks.example:{receiver.port}/")
        await outbound.aclose()
    assert receiver.received == []


async def test_the_next_address_is_tried_after_a_failed_connection() -> None:
    async with receiving() as receiver:
        outbound = Outbound(["127.0.0.0/8"], resolve=resolving(["127.0.0.2", "127.0.0.1"]))
        response = await outbound.send(
            "POST", f"http://hooks.example:{receiver.port}/", content=b"x"
        )
        await outbound.aclose()
    assert response.status == 204
    assert [got.body for got in receiver.received] == [b"x"]


async def test_the_certificate_is_checked_for_the_name(tmp_path: Path) -> None:
    server, trusting = certificate_for(["hooks.example"], tmp_path)
    async with receiving(tls=server) as receiver:
        outbound = Outbound(["127.0.0.1"], resolve=resolving(["127.0.0.1"]), verify=trusting)
        response = await outbound.send("POST", f"https://hooks.example:{receiver.port}/")
        assert response.status == 204
        with pytest.raises(OutboundError, match="certificate"):
            await outbound.send("POST", f"https://other.example:{receiver.port}/")
        await outbound.aclose()
    assert len(receiver.received) == 1


async def test_an_unknown_certificate_is_reported(tmp_path: Path) -> None:
    server, _ = certificate_for(["hooks.example"], tmp_path)
    async with receiving(tls=server) as receiver:
        outbound = Outbound(["127.0.0.1"], resolve=resolving(["127.0.0.1"]))
        with pytest.raises(OutboundError, match="certificate"):
            await outbound.send("POST", f"https://hooks.example:{receiver.port}/")
        await outbound.aclose()


async def test_redirects_are_not_followed() -> None:
    async with receiving(answer(302, Location="http://169.254.169.254/")) as receiver:
        outbound = Outbound(["127.0.0.1"])
        response = await outbound.send("POST", f"http://127.0.0.1:{receiver.port}/")
        await outbound.aclose()
    assert response.status == 302


async def test_a_long_response_is_truncated() -> None:
    async with receiving(answer(200, b"x" * 500_000)) as receiver:
        outbound = Outbound(["127.0.0.1"])
        url = f"http://127.0.0.1:{receiver.port}/"
        response = await outbound.send("GET", url, limit_bytes=1000)
        await outbound.aclose()
    assert (len(response.body), response.is_cut) == (1000, True)


async def test_silent_and_slow_servers_time_out() -> None:
    async with receiving() as receiver:
        receiver.may_answer.clear()
        outbound = Outbound(["127.0.0.1"])
        with pytest.raises(OutboundError, match=r"within 0\.3 s"):
            await outbound.send("GET", f"http://127.0.0.1:{receiver.port}/", timeout=SHORT)
    async with dripping() as port:
        with pytest.raises(OutboundError, match=r"within 0\.3 s"):
            await outbound.send("GET", f"http://127.0.0.1:{port}/", timeout=SHORT)
    await outbound.aclose()


async def test_an_unknown_name_and_a_closed_port_are_reported() -> None:
    async with receiving() as receiver:
        port = receiver.port
    outbound = Outbound(["127.0.0.1"])
    with pytest.raises(OutboundError, match="can't be reached"):
        await outbound.send("GET", f"http://127.0.0.1:{port}/")
    with pytest.raises(OutboundError, match="can't be resolved"):
        await outbound.send("GET", "http://no-such-name.invalid/")
    await outbound.aclose()


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving(answer(502)) as proxy, receiving(answer(204)) as receiver:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        outbound = Outbound(["127.0.0.1"])
        response = await outbound.send("GET", f"http://127.0.0.1:{receiver.port}/")
        await outbound.aclose()
    assert response.status == 204
    assert proxy.received == []


async def test_a_silent_name_server_delays_no_other_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()

    def tarpit(*_: object, **__: object) -> list[object]:
        answered.wait(250)
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", tarpit)
    look_ups = [asyncio.create_task(system_resolve(f"n{n}.example", 443)) for n in range(40)]
    try:
        async with asyncio.timeout(60):
            assert await asyncio.to_thread(int, "7") == 7
    finally:
        answered.set()
        results = await asyncio.gather(*look_ups, return_exceptions=True)
    assert {type(one) for one in results} == {OutboundError}
