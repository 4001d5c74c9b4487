"""Each rule, with a real server over HTTP: as an error answer, and within a stream."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from claude import adapter
from claude.adapter import ClaudeModel
from claude.failures import MAX_DELAY_SECONDS
from claude.scripted import ScriptedModelServer
from domain.errors import ModelCallError, ModelFailureKind
from tests.claude.conversations import scripted_request

QUOTA, LIMITED = ModelFailureKind.QUOTA, ModelFailureKind.RATE_LIMITED
BUSY, TOO_LONG = ModelFailureKind.OVERLOADED, ModelFailureKind.CONTEXT_EXCEEDED
UNREADABLE = ModelFailureKind.UNREADABLE
INVALID, DENIED = ModelFailureKind.REQUEST_INVALID, ModelFailureKind.AUTHENTICATION

BAD = "invalid_request_error"
USAGE_LIMIT = "You have reached your specified API usage limits. You regain access on 2026-12-01."
TOO_MANY = "input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000"

ROWS: list[tuple[int, str, dict[str, str], ModelFailureKind]] = [
    (429, "rate_limit_error", {"code": "enforced_spend_limit_reached"}, QUOTA),
    (429, "rate_limit_error", {"code": "contract_spend_limit_reached"}, QUOTA),
    (402, "billing_error", {"code": "linked_organization_spend_limit_reached"}, QUOTA),
    (402, "billing_error", {"code": "linked_organization_billing_unavailable"}, QUOTA),
    (402, "billing_error", {}, QUOTA),
    (400, BAD, {"code": "organization_on_hold"}, QUOTA),
    (400, BAD, {"message": USAGE_LIMIT}, QUOTA),
    (400, BAD, {"message": "Your credit balance is too low."}, QUOTA),
    (429, "rate_limit_error", {}, LIMITED),
    (429, "rate_limit_error", {"code": "ramp_limit_exceeded"}, LIMITED),
    (500, "api_error", {}, BUSY),
    (503, "api_error", {}, BUSY),
    (504, "timeout_error", {}, BUSY),
    (529, "overloaded_error", {}, BUSY),
    (408, "timeout_error", {}, BUSY),
    (409, "conflict_error", {}, BUSY),
    (520, "of_a_proxy", {}, BUSY),
    (400, BAD, {"message": "prompt is too long: 2 > 1 maximum"}, TOO_LONG),
    (400, BAD, {"message": TOO_MANY}, TOO_LONG),
    (413, "request_too_large", {}, TOO_LONG),
    (400, BAD, {"message": "messages.1: malformed"}, INVALID),
    (404, "not_found_error", {}, INVALID),
    (422, BAD, {}, INVALID),
    (401, "authentication_error", {}, DENIED),
    (403, "permission_error", {}, DENIED),
]
RETRIED = {LIMITED, BUSY}


async def _failure(model: ClaudeModel, **error: Any) -> ModelCallError:
    with pytest.raises(ModelCallError) as caught:
        await model.call(scripted_request({"text": "Hello there.", "error": error}))
    return caught.value


@pytest.mark.parametrize(("status", "error_type", "more", "kind"), ROWS)
async def test_an_error_answer(
    status: int, error_type: str, more: dict[str, str], kind: ModelFailureKind, model: ClaudeModel
) -> None:
    failure = await _failure(model, status=status, type=error_type, **more)
    assert (failure.kind, failure.retryable) == (kind, kind in RETRIED)
    assert failure.http_status == status
    assert failure.detail == more.get("message", "The script asked for this error.")
    assert failure.delay_seconds is None
    assert failure.request_id is not None


@pytest.mark.parametrize(("status", "error_type", "more", "kind"), ROWS)
async def test_the_same_error_inside_a_stream(
    status: int, error_type: str, more: dict[str, str], kind: ModelFailureKind, model: ClaudeModel
) -> None:
    failure = await _failure(model, status=status, type=error_type, after_events=4, **more)
    assert (failure.kind, failure.retryable) == (kind, kind in RETRIED)
    assert failure.http_status == 200


async def test_an_unknown_error_inside_a_stream_is_tried_again(model: ClaudeModel) -> None:
    failure = await _failure(model, after_events=2, type="brand_new_error")
    assert (failure.kind, failure.retryable) == (BUSY, True)


@pytest.mark.parametrize(
    ("asked", "delay"),
    [
        ({"retry_after": 7}, 7.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after_ms": 1500, "retry_after": 9}, 1.5),
        ({"retry_after": 86_400}, MAX_DELAY_SECONDS),
        ({"retry_after": -1}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Thu, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:00 GMT"}, 0.0),
        ({"retry_after": "Thu, 01 Jan 2026 00:00:00"}, 0.0),
    ],
)
async def test_the_delay_the_provider_asks_for(
    asked: dict[str, Any], delay: float | None, model: ClaudeModel
) -> None:
    failure = await _failure(model, status=429, type="rate_limit_error", **asked)
    assert failure.delay_seconds == delay


async def test_a_delay_until_a_date(model: ClaudeModel) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    failure = await _failure(model, status=529, type="overloaded_error", retry_after=date)
    assert failure.delay_seconds is not None
    assert 60 < failure.delay_seconds <= 90


async def test_no_delay_where_waiting_does_not_help(model: ClaudeModel) -> None:
    failure = await _failure(model, status=400, type=BAD, retry_after=3)
    assert failure.delay_seconds is None


async def test_the_detail_fits_a_text_column(model: ClaudeModel) -> None:
    failure = await _failure(model, message="a\0b\ud800" + "x" * 9_000)
    assert failure.detail.startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}x")
    assert len(failure.detail) == 2_000


async def test_an_error_that_is_no_json(model: ClaudeModel) -> None:
    async def page(status: int) -> ModelCallError:
        with pytest.raises(ModelCallError) as caught:
            await model.call(scripted_request({"raw": "<h1>Bad gateway</h1>", "status": status}))
        return caught.value

    assert (await page(502)).kind is BUSY
    assert (await page(502)).detail == "<h1>Bad gateway</h1>"
    assert (await page(404)).kind is INVALID
    assert not (await page(404)).retryable


@pytest.mark.parametrize(
    ("content_type", "body", "kind", "parts"),
    [
        ("text/html", "<html>Sign in</html>", UNREADABLE, ["text/html", "<html>Sign in</html>"]),
        ("application/json", '{"error": {"message": "no credit"}}', UNREADABLE, ["no credit"]),
        ("application/json", '{"error": "no credit"}', UNREADABLE, ["no credit"]),
        ("application/json", '{"detail": "Not Found"}', UNREADABLE, ["Not Found"]),
        ("application/json", "[]", UNREADABLE, ["application/json"]),
        ("text/event-stream", "", UNREADABLE, ["text/event-stream", "It is empty."]),
        ("text/event-stream", 'data: {"choices": []}\n\n', UNREADABLE, ["choices"]),
        ("text/event-stream", ": waiting\n\n", UNREADABLE, ["waiting"]),
        ("application/json", '{"error": {"code": 401, "message": "key"}}', DENIED, ["key"]),
        ("application/json", '{"error": {"code": 429, "message": "slow"}}', LIMITED, ["slow"]),
        ("text/event-stream", 'data: {"error": {"code": 403}}\n\n', DENIED, ["403"]),
        ("text/event-stream", 'data: {"error": {"message": "no"}}\n\n', UNREADABLE, ["no"]),
        ("application/json", '{"error": {"type": "brand_new_error"}}', BUSY, ["brand_new"]),
        *(
            ("application/json", json.dumps({"type": "error", "error": error}), kind, ["why"])
            for error, kind in (
                ({"type": "authentication_error", "message": "why"}, DENIED),
                ({"type": "overloaded_error", "message": "why"}, BUSY),
                ({"type": "billing_error", "message": "why"}, QUOTA),
                ({"type": BAD, "message": "why"}, INVALID),
            )
        ),
    ],
)
async def test_an_answer_with_status_200_that_is_no_message(
    content_type: str, body: str, kind: ModelFailureKind, parts: list[str], model: ClaudeModel
) -> None:
    turn = {"raw": body, "headers": {"content-type": content_type}}
    with pytest.raises(ModelCallError) as caught:
        await model.call(scripted_request(turn))
    failure = caught.value
    assert (failure.kind, failure.retryable) == (kind, kind in RETRIED)
    assert failure.http_status == 200
    assert failure.request_id is not None
    assert [part for part in parts if part not in failure.detail] == []


@pytest.mark.parametrize("status", [204, 301, 304])
async def test_a_status_without_a_message(status: int, model: ClaudeModel) -> None:
    with pytest.raises(ModelCallError, match=str(status)) as caught:
        await model.call(scripted_request({"raw": "", "status": status}))
    assert (caught.value.kind, caught.value.retryable) == (UNREADABLE, False)


async def test_an_endless_page_is_not_read_to_its_end(
    model: ClaudeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_MAX_OTHER_BYTES", 1000)
    turn = {"raw": "<p>\n" * 20_000, "headers": {"content-type": "text/html"}}
    with pytest.raises(ModelCallError) as caught:
        await model.call(scripted_request(turn))
    assert caught.value.kind is UNREADABLE


async def test_no_server_listens() -> None:
    with ScriptedModelServer() as server:
        address = server.base_url
    model = ClaudeModel.create(base_url=address, api_key="any")
    with pytest.raises(ModelCallError, match="Connect") as caught:
        await model.call(scripted_request({"text": "x"}))
    await model.close()
    assert (caught.value.kind, caught.value.retryable) == (ModelFailureKind.CONNECTION, True)
