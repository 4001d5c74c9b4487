"""`http_request` with real servers: methods, secrets, bodies, redirects and failures."""

import asyncio
import json
from typing import Any

import pytest

from domain.errors import FencedOutError
from domain.tools.calls import ProcessIdentity
from tests.runtime.receiver import answer, dripping
from tests.tools.conftest import SessionCalls
from tests.tools.web.conftest import SECRET, Web
from tools.limits import ToolLimits


async def post(calls: SessionCalls, url: str, **given: Any) -> str:
    return await calls.text("http_request", **{"method": "POST", "url": url, **given})


async def test_a_request_and_its_response(web: Web) -> None:
    web.receiver.replies = [answer(201, b'{"id": 7}', Content_Type="application/json", ETag="x")]
    calls = web.calls()
    text = await post(
        calls,
        web.url("api.example", "/orders?a=b"),
        headers={"X-Kind": "tea"},
        json={"item": "tea"},
        idempotency_key="k-1",
    )
    assert text.startswith("HTTP 201 Created\ncontent-length: 9\n")
    assert "\ncontent-type: application/json\netag: x\n" in text
    assert text.endswith('\n\n{"id": 7}')
    got = web.receiver.received[0]
    assert (got.method, got.path, json.loads(got.body)) == ("POST", "/orders?a=b", {"item": "tea"})
    assert got.headers["idempotency-key"] == "k-1"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-kind"] == "tea"
    assert calls.started == [None]


async def test_only_requests_that_change_something_are_recorded_before(web: Web) -> None:
    calls = web.calls()
    await calls.text("http_request", url=web.url())
    await calls.text("http_request", url=web.url(), method="HEAD")
    assert calls.started == []
    await calls.text("http_request", url=web.url(), method="DELETE")
    assert calls.started == [None]


async def test_nothing_is_sent_if_the_start_can_not_be_recorded(web: Web) -> None:
    async def fenced_out(_: ProcessIdentity | None) -> None:
        raise FencedOutError("another attempt writes")

    calls = web.calls()
    invocation = calls.invocation("http_request", url=web.url(), method="POST")
    with pytest.raises(FencedOutError):
        await calls.run(invocation, fenced_out)
    assert web.receiver.received == []


async def test_an_error_status_is_a_result(web: Web) -> None:
    web.receiver.replies = [answer(503, b"busy")]
    text = await web.calls().text("http_request", url=web.url())
    assert text.startswith("HTTP 503 Service Unavailable (the server reports an error)\n")
    assert text.endswith("\n\nbusy")


async def test_a_long_body_is_saved_and_shown_in_part(web: Web) -> None:
    web.limits = ToolLimits(preview_bytes=1000)
    web.receiver.replies = [answer(200, b"[" + b"1," * 2000 + b"1]", Content_Type="text/json")]
    outcome = await web.calls()("http_request", url=web.url(path="/list"))
    assert "bytes left out here" in outcome.text
    assert outcome.text.endswith("(The body is saved as the artifact list.bin.)")
    assert outcome.whole_output is not None
    assert (outcome.whole_output.size_bytes, outcome.whole_output.media_type) == (4003, "text/json")
    outcome.whole_output.path.unlink()


async def test_a_body_is_read_up_to_a_limit(web: Web) -> None:
    web.limits = ToolLimits(output_bytes=100_000, preview_bytes=1000)
    web.receiver.replies = [answer(200, bytes(300_000), Content_Type="image/png")]
    outcome = await web.calls()("http_request", url=web.url(path="/a.png"))
    assert "(binary output of 100,000 bytes)" in outcome.text
    assert "the rest was not read" in outcome.text
    assert outcome.whole_output is not None
    assert outcome.whole_output.name == "a.png"
    outcome.whole_output.path.unlink()


async def test_a_secret_is_sent_to_its_host_and_hidden_in_the_result(web: Web) -> None:
    web.secrets["key"] = (["api.example"], ["http_request"])
    echo = f'{{"got": "Bearer {SECRET}"}}'.encode()
    web.receiver.replies = [answer(200, echo, X_Echo=SECRET)]
    text = await web.calls().text(
        "http_request",
        url=web.url("api.example"),
        headers={"Authorization": "Bearer secret://key"},
    )
    assert web.receiver.received[0].headers["authorization"] == f"Bearer {SECRET}"
    assert SECRET not in text
    assert text.count("********") == 2


@pytest.mark.parametrize(
    "bound", [(["other.example"], ["http_request"]), (["api.example"], ["mcp__github"])]
)
async def test_a_secret_for_another_use_is_not_sent(
    web: Web, bound: tuple[list[str], list[str]]
) -> None:
    web.secrets["key"] = bound
    refusal = await web.calls().refusal(
        "http_request", url=web.url("api.example"), headers={"X-Key": "secret://key"}
    )
    assert "Nothing was sent." in refusal
    assert web.receiver.received == []


async def test_secrets_do_not_follow_a_redirect_to_another_host(web: Web) -> None:
    web.secrets["key"] = (["site.example", "api.example"], ["http_request"])
    web.receiver.replies = [answer(302, Location=web.url("api.example", "/b")), answer(204)]
    headers = {
        "X-First": "secret://key",
        "Authorization": "Basic YQ==",
        "Cookie": "a=b",
        "X-B": "c",
    }
    await web.calls().text("http_request", url=web.url(), headers=headers)
    first, second = web.receiver.received
    assert first.headers["x-first"] == SECRET
    assert second.path == "/b"
    assert {"x-first", "authorization", "cookie"} & second.headers.keys() == set()
    assert second.headers["x-b"] == "c"


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("POST", 303, ("GET", b"")),
        ("POST", 302, ("GET", b"")),
        ("PUT", 302, ("PUT", b"x")),
        ("POST", 308, ("POST", b"x")),
        ("DELETE", 303, ("GET", b"")),
    ],
)
async def test_redirects_follow_the_rules_of_http(
    web: Web, method: str, status: int, expected: tuple[str, bytes]
) -> None:
    web.receiver.replies = [answer(status, Location="/next"), answer(204)]
    await post(web.calls(), web.url(), method=method, body="x", idempotency_key="k")
    second = web.receiver.received[1]
    assert (second.method, second.body) == expected
    assert ("idempotency-key" in second.headers) is (expected[0] != "GET")


async def test_a_change_is_not_repeated_at_another_server(web: Web) -> None:
    web.receiver.replies = [answer(307, Location=web.url("api.example", "/b"))]
    text = await post(web.calls(), web.url(), body="x")
    assert text.startswith("HTTP 307 Temporary Redirect\n")
    assert f"location: {web.url('api.example', '/b')}" in text
    assert len(web.receiver.received) == 1


async def test_a_refused_redirect_after_a_change_says_that_it_was_received(web: Web) -> None:
    web.receiver.replies = [answer(303, Location=web.url("other.example"))]
    refusal = await web.calls().refusal("http_request", method="POST", url=web.url())
    assert "The server received the request and answered it with 303" in refusal
    assert "other.example" in refusal


async def test_a_lost_answer_may_have_had_an_effect(web: Web) -> None:
    web.receiver.replies = [b""]
    refusal = await web.calls().refusal("http_request", method="POST", url=web.url())
    assert "it may have taken effect" in refusal
    refusal = await web.calls().refusal("http_request", url=web.url())
    assert "it may have taken effect" not in refusal


async def test_a_server_that_is_down_got_nothing(web: Web) -> None:
    web.names["site.example"] = ("127.0.0.2",)
    calls = web.calls(operator=[f"*:{web.receiver.port}", f"127.0.0.2:{web.receiver.port}"])
    refusal = await calls.refusal("http_request", method="POST", url=web.url())
    assert refusal == "The server can't be reached. Nothing was sent."


async def test_a_name_that_does_not_exist_got_nothing(web: Web) -> None:
    del web.names["site.example"]
    refusal = await web.calls().refusal("http_request", method="POST", url=web.url())
    assert refusal == "The host name site.example can't be resolved. Nothing was sent."


async def test_a_response_without_a_body_may_name_an_encoding(web: Web) -> None:
    web.receiver.replies = [b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n"]
    text = await web.calls().text("http_request", method="HEAD", url=web.url())
    assert text.endswith("content-encoding: br\n\n(no body)")


async def test_a_slow_answer_is_given_up(web: Web) -> None:
    async with dripping() as port:
        web.receiver.port = port
        refusal = await web.calls().refusal(
            "http_request", method="POST", url=web.url(), timeout_seconds=1
        )
    assert "it may have taken effect" in refusal


async def test_a_cancelled_request_is_closed(web: Web) -> None:
    web.receiver.may_answer.clear()
    running = asyncio.create_task(web.calls()("http_request", url=web.url()))
    await web.receiver.arrived.wait()
    running.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([running])
    assert running.cancelled()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"headers": {"Host": "other.example"}}, "Perdure sets the header Host itself"),
        ({"headers": {"Content-Length": "0"}}, "Perdure sets the header Content-Length itself"),
        ({"headers": {"X-HTTP-Method-Override": "DELETE"}}, "set method instead"),
        ({"headers": {"X\r\nA": "b"}}, "is not the name of a header"),
        ({"headers": {"X": "a\r\nHost: b"}}, "is not visible ASCII text"),
        ({"headers": {"X": "a", "x": "b"}}, "A header is given twice"),
        ({"headers": {"X": "key=secret://key"}}, "must be the whole value, or follow one word"),
        ({"body": "x"}, "A GET request has no body"),
        ({"method": "POST", "body": "x", "json": 1}, "Give either body or json"),
        ({"method": "POST", "body": "a=secret://key"}, "remove secret:// from the body"),
        ({"method": "POST", "json": {"a": ["secret://key"]}}, "remove secret:// from the JSON"),
        ({"method": "POST", "idempotency_key": "a\r\nb"}, "is not visible ASCII text"),
        ({"method": "POST", "idempotency_key": "é"}, "is not visible ASCII text"),
        ({"method": "TRACE"}, "field method"),
    ],
)
async def test_a_request_that_can_not_be_sent_is_refused(
    web: Web, given: dict[str, Any], expected: str
) -> None:
    assert expected in await web.calls().refusal("http_request", url=web.url(), **given)
    assert web.receiver.received == []


async def test_each_connection_is_recorded(web: Web) -> None:
    port = web.receiver.port
    web.receiver.replies = [
        answer(303, Location=web.url("api.example", "/b")),
        answer(200, b"x" * 1000),
        answer(302, Location=web.url("other.example")),
    ]
    calls = web.calls()
    outcome = await calls("http_request", url=web.url(), method="POST", body="x" * 500)
    log = outcome.connections
    first, second = log.connections
    assert (first.host, first.port, first.verdict) == ("site.example", port, "allowed")
    assert (second.host, second.address) == ("api.example", "127.0.0.1")
    assert 500 < first.sent_bytes < 1000 > second.sent_bytes > 0
    assert second.received_bytes > 1000 > first.received_bytes > 0
    assert (log.total, log.received_bytes) == (2, first.received_bytes + second.received_bytes)
    log = (await calls("web_fetch", url=web.url())).connections
    refused = log.connections[1]
    assert (refused.host, refused.verdict, refused.received_bytes) == (
        "other.example",
        "refused",
        0,
    )
    assert refused.reason is not None
    assert "is not in the network list" in refused.reason
    assert (log.total, log.refused) == (2, 1)


async def test_a_failed_connection_is_recorded(web: Web) -> None:
    web.names["site.example"] = ("127.0.0.2",)
    calls = web.calls(operator=[f"*:{web.receiver.port}", f"127.0.0.2:{web.receiver.port}"])
    outcome = await calls("http_request", url=web.url())
    [connection] = outcome.connections.connections
    assert (connection.verdict, connection.reason) == (
        "failed",
        "No response arrived (ConnectError).",
    )


async def test_an_interrupted_request_leaves_its_connection(web: Web) -> None:
    calls = web.calls()
    web.receiver.may_answer.clear()
    invocation = calls.invocation("http_request", url=web.url(), method="POST", body="x")
    running = asyncio.create_task(calls.run(invocation))
    await web.receiver.arrived.wait()
    [left] = (await calls.toolbox.list_connections(invocation)).connections
    assert (left.host, left.port, left.verdict) == ("site.example", web.receiver.port, "failed")
    assert "interrupted" in (left.reason or "")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_secret_in_a_redirect_is_not_in_an_error(web: Web) -> None:
    web.secrets["key"] = (["site.example"], ["http_request"])
    web.receiver.replies = [answer(302, Location=f"/next?k={SECRET}")]
    text = await web.calls().refusal(
        "http_request", url=web.url(), headers={"X-Key": "secret://key"}
    )
    assert "more than 5 redirects" in text
    assert SECRET not in text
