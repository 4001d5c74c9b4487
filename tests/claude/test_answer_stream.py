"""However the network cuts a stream into chunks, the events are the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude import answer_stream
from claude.answer_stream import EventDecoder, MalformedStreamError

TEXTS = st.lists(st.text(max_size=20), max_size=8)


def _stream(texts: list[str], line_end: str) -> bytes:
    lines = [
        f"event: x{line_end}data: {json.dumps({'t': text}, ensure_ascii=False)}{line_end * 2}"
        for text in texts
    ]
    return "".join(lines).encode("utf-8", "surrogatepass")


@given(texts=TEXTS, line_end=st.sampled_from(["\n", "\r\n", "\r"]), data=st.data())
def test_any_chunks_give_the_same_events(
    texts: list[str], line_end: str, data: st.DataObject
) -> None:
    stream = _stream(texts, line_end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = EventDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    found += decoder.finish()
    assert [event["t"] for event in found if "t" in event] == texts


def test_data_may_take_several_lines() -> None:
    assert EventDecoder().feed(b'data: {"a":\ndata: 1}\n\n') == [{"a": 1}]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b'data: {"a": 1}', [{"a": 1}]),  # the last blank line is missing
        (b'data: {"a": 1}\ndata: {"a": 2}\n\n', [{"a": 1}, {"a": 2}]),  # no blank line between
        (b'data: {"a": 1}\n\ndata: [DONE]\n\n', [{"a": 1}]),
        (b'data: 7\n\ndata: "x"\n\ndata: []\n\ndata: {]\n\ndata:\n\n', []),
        (b'\xef\xbb\xbfdata: {"a": 1}\n\n', [{"a": 1}]),
        (b'event: ping\ndata: {"a": 1}\n\n', [{"type": "ping", "a": 1}]),
        (b'event: ping\ndata: {"type": "x"}\n\n', [{"type": "x"}]),
        (b'data: {"a": NaN, "b": 1e999}\n\n', [{"a": None, "b": None}]),
        (b"data: " + b"[" * 100_000 + b"\n\n", []),
        (b"data: " + b'{"a":' * 300 + b"1" + b"}" * 300 + b"\n\n", []),
        (b'data: {"a": "\xff"}\n\n', [{"a": "\ufffd"}]),
        (b": comment\nid: 1\nretry: 5\nnonsense\n\n", []),
    ],
)
def test_what_is_no_event_is_skipped(stream: bytes, found: list[object]) -> None:
    decoder = EventDecoder()
    assert decoder.feed(stream) + decoder.finish() == found


@given(noise=st.binary(max_size=60))
def test_noise_is_skipped(noise: bytes) -> None:
    decoder = EventDecoder()
    events = decoder.feed(b"data: " + noise + b"\n\n") + decoder.finish()
    assert all(isinstance(event, dict) for event in events)


def test_a_line_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_stream, "MAX_LINE_BYTES", 100)
    decoder = EventDecoder()
    assert decoder.feed(b"data: " + b"x" * 90) == []
    with pytest.raises(MalformedStreamError):
        decoder.feed(b"x" * 90)
