"""The model: whole messages, streamed text, sorted failures, and calls that are cancelled."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from agent.ports import Model
from domain.errors import ModelCallError, ModelFailureKind
from domain.model.calls import ModelRequest
from tests.claude.conversations import add_answer, scripted_request

OpenGate = Callable[[str], None]


async def failure_of(model: Model, request: ModelRequest) -> ModelCallError:
    with pytest.raises(ModelCallError) as raised:
        await model.call(request)
    return raised.value


async def test_a_message_comes_whole_and_its_text_as_it_streams(model: Model) -> None:
    await model.ready()
    deltas: list[str] = []
    request = scripted_request({"text": "Grüße, 世界 👋 " * 40, "thinking": "Hm."})
    response = await model.call(request, on_text=deltas.append)
    thinking, text = response.content
    assert (thinking["type"], thinking["thinking"]) == ("thinking", "Hm.")
    assert text == {"type": "text", "text": "Grüße, 世界 👋 " * 40}
    assert "".join(deltas) == text["text"]
    assert (response.stop_reason, response.model) == ("end_turn", request.prefix.model)
    assert response.usage.output_tokens > 0
    assert response.usage.prompt_tokens > 0


async def test_tool_calls_have_ids_of_their_own(model: Model) -> None:
    request = scripted_request(
        {"tool_use": [{"name": "bash", "input": {"command": "ls"}}, {"name": "list_files"}]}
    )
    response = await model.call(request)
    first, second = response.content
    assert (first["name"], first["input"]) == ("bash", {"command": "ls"})
    assert (second["name"], second["input"]) == ("list_files", {})
    assert first["id"] != second["id"]
    assert response.stop_reason == "tool_use"
    following = await model.call(add_answer(request, response, text="done"))
    assert following.content == [{"type": "text", "text": "The script has ended."}]


async def test_input_that_is_no_json_object_is_reported_by_id(model: Model) -> None:
    raw = '{"command": "touch x'
    response = await model.call(scripted_request({"tool_use": {"name": "bash", "raw_input": raw}}))
    [use] = response.content
    assert use["input"] == {}
    assert response.malformed_inputs == {use["id"]: raw}


@pytest.mark.parametrize(
    "stop_reason", ["refusal", "max_tokens", "pause_turn", "stop_sequence", "from_next_year"]
)
async def test_every_stop_reason_is_passed_on(model: Model, stop_reason: str) -> None:
    response = await model.call(scripted_request({"text": "a", "stop_reason": stop_reason}))
    assert response.stop_reason == stop_reason


@pytest.mark.parametrize(
    ("error", "kind", "delay_seconds"),
    [
        ({"status": 529, "type": "overloaded_error"}, ModelFailureKind.OVERLOADED, None),
        (
            {"status": 429, "type": "rate_limit_error", "retry_after": 7},
            ModelFailureKind.RATE_LIMITED,
            7.0,
        ),
        (
            {"status": 429, "type": "rate_limit_error", "retry_after_ms": 250},
            ModelFailureKind.RATE_LIMITED,
            0.25,
        ),
        ({"status": 401, "type": "authentication_error"}, ModelFailureKind.AUTHENTICATION, None),
        (
            {"status": 400, "type": "invalid_request_error", "message": "prompt is too long"},
            ModelFailureKind.CONTEXT_EXCEEDED,
            None,
        ),
        ({"status": 402, "type": "billing_error"}, ModelFailureKind.QUOTA, None),
    ],
)
async def test_an_error_answer_is_sorted(
    model: Model, error: dict[str, Any], kind: ModelFailureKind, delay_seconds: float | None
) -> None:
    failure = await failure_of(model, scripted_request({"error": error}))
    assert (failure.kind, failure.http_status) == (kind, error["status"])
    assert failure.delay_seconds == delay_seconds
    assert failure.retryable == (kind in {"overloaded", "rate_limited"})


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"cut": {"after_bytes": 300}}, ModelFailureKind.CONNECTION),
        ({"cut": {"after_events": 0}}, ModelFailureKind.CONNECTION),
        (
            {"error": {"status": 200, "type": "overloaded_error", "after_events": 3}},
            ModelFailureKind.OVERLOADED,
        ),
    ],
)
async def test_an_answer_that_breaks_off_can_be_retried(
    model: Model, fault: dict[str, Any], kind: ModelFailureKind
) -> None:
    failure = await failure_of(model, scripted_request({"text": "x" * 500, **fault}))
    assert (failure.kind, failure.retryable) == (kind, True)


async def test_a_fault_with_times_ends(model: Model) -> None:
    error = {"status": 500, "type": "api_error", "times": 2}
    request = scripted_request({"text": "after all", "error": error})
    for _ in range(2):
        await failure_of(model, request)
    response = await model.call(request)
    assert response.content == [{"type": "text", "text": "after all"}]


async def test_a_request_that_the_api_refuses_is_invalid(model: Model) -> None:
    request = ModelRequest(scripted_request().prefix, [])
    failure = await failure_of(model, request)
    assert (failure.kind, failure.retryable) == (ModelFailureKind.REQUEST_INVALID, False)


async def test_a_gate_holds_the_answer_back(model: Model, open_gate: OpenGate) -> None:
    request = scripted_request({"text": "through", "gate": f"ports {id(model)}"})
    calling = asyncio.ensure_future(model.call(request))
    cancelled = asyncio.ensure_future(model.call(request))
    await asyncio.wait([calling], timeout=0.05)
    assert not calling.done()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    open_gate(f"ports {id(model)}")
    assert (await calling).content == [{"type": "text", "text": "through"}]
