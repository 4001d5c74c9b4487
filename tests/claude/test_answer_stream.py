"""However the network cuts a stream into chunks, the events are the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude.answer_stream import EventDecoder, MalformedStreamError

TEXTS = st.lists(st.text(max_size=20), max_size=8)


def _stream(texts: list[str], line_end: str) -> bytes:
    lines = [
        f"event: x{line_end}data: {json.dumps({'t': text}, ensure_ascii=False)}{line_end * 2}"
        for text in texts
    ]
    return "".join(lines).encode("utf-8", "surrogatepass")


@given(texts=TEXTS, line_end=st.sampled_from(["\n", "\r\n"]), data=st.data())
def test_any_chunks_give_the_same_events(
    texts: list[str], line_end: str, data: st.DataObject
) -> None:
    stream = _stream(texts, line_end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = EventDecoder()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[start:end])
    assert [event["t"] for event in found] == texts


def test_data_may_take_several_lines() -> None:
    assert EventDecoder().feed(b'data: {"a":\ndata: 1}\n\n') == [{"a": 1}]


@given(noise=st.binary(max_size=60))
def test_noise_is_an_error_or_nothing(noise: bytes) -> None:
    decoder = EventDecoder()
    try:
        events = decoder.feed(b"data: " + noise + b"\n\n")
    except MalformedStreamError:
        return
    assert all(isinstance(event, dict) for event in events)


def test_a_nesting_without_end_is_an_error() -> None:
    with pytest.raises(MalformedStreamError):
        EventDecoder().feed(b"data: " + b"[" * 100_000 + b"\n\n")
