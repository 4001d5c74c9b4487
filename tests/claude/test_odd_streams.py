"""What the adapter makes of odd answers, over HTTP."""

import json

import pytest

from claude.adapter import ClaudeModel
from domain.errors import ModelCallError
from tests.claude.conversations import scripted_request
from tests.streams import ODD_STREAMS, OddStream

MESSAGES = [odd for odd in ODD_STREAMS if odd.expect.error_kind is None]
OTHERS = [odd for odd in ODD_STREAMS if odd.expect.error_kind is not None]


def name_of(odd: OddStream) -> str:
    return odd.name


def test_there_are_enough_files() -> None:
    assert len(ODD_STREAMS) >= 60


@pytest.mark.parametrize("odd", MESSAGES, ids=name_of)
async def test_an_odd_message_is_used(odd: OddStream, model: ClaudeModel) -> None:
    response = await model.call(scripted_request(odd.turn))
    texts = [block["text"] for block in response.content if block["type"] == "text"]
    calls = [block for block in response.content if block["type"] == "tool_use"]
    assert "".join(texts) == (odd.expect.text or "")
    assert [call["name"] for call in calls] == list(odd.expect.calls)
    assert {type(call["input"]) for call in calls} <= {dict}
    assert len({call["id"] for call in calls}) == len(calls)
    assert set(response.malformed_inputs) <= {call["id"] for call in calls}
    assert response.is_usage_complete is not odd.expect.is_estimated
    assert response.model in ("claude-opus-5-5", "m")
    json.dumps([*response.content, response.stop_details], ensure_ascii=False).encode()


@pytest.mark.parametrize("odd", OTHERS, ids=name_of)
async def test_what_is_no_message_is_not_asked_for_again(
    odd: OddStream, model: ClaudeModel
) -> None:
    with pytest.raises(ModelCallError) as caught:
        await model.call(scripted_request(odd.turn))
    assert (caught.value.kind, caught.value.retryable) == (odd.expect.error_kind, False)
