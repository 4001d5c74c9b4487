"""The bytes of a request, and where the prompt cache is told to cut.

Equal requests give equal bytes. Blocks go out as they came, keys in their order, because the prompt
cache and signed thinking hold for exact content only.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from domain.model_calls import ModelRequest

_CACHE: Mapping[str, Any] = {"type": "ephemeral"}
"""A lifetime of five minutes, renewed by each read. One hour costs twice the input's price instead
of 1.25 times to write (domain/pricing.py), and turns follow each other in seconds."""


def encode(request: ModelRequest) -> bytes:
    """The body of `POST /v1/messages` for a streamed answer.

    Three of the four cache breakpoints that are allowed are set: after the tools and after the
    system prompt, which executions of one task share, and, by the top-level `cache_control`, after
    the last message, which the next call of this conversation begins with.
    """
    prefix = request.prefix
    body: dict[str, Any] = {"model": prefix.model, "max_tokens": prefix.max_tokens, "stream": True}
    body |= prefix.options
    body["cache_control"] = _CACHE
    if prefix.tools:
        body["tools"] = _with_breakpoint(prefix.tools)
    if prefix.system:
        body["system"] = _with_breakpoint(prefix.system)
    body["messages"] = request.messages
    # Compact and in UTF-8: as sent by the SDK itself, and a third of the bytes for most languages.
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, as a model may write it in an escape: only escapes can carry it.
        return json.dumps(body, separators=(",", ":")).encode()


def _with_breakpoint(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [*parts[:-1], {**parts[-1], "cache_control": _CACHE}]
