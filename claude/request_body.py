"""Encodes a request, with its prompt-cache breakpoints.

Equal requests give equal bytes. Blocks are sent unchanged, with their keys in order, because the
prompt cache and signed thinking require exactly the same content.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from domain.model.calls import ModelRequest
from domain.text import replace_surrogates

_CACHE: Mapping[str, Any] = {"type": "ephemeral"}
"""A lifetime of five minutes, which each read renews. Writing for one hour costs 2 times the input
price instead of 1.25 times (domain/model/pricing.py), and turns are seconds apart."""


def encode(request: ModelRequest) -> bytes:
    """The body of `POST /v1/messages` for a streamed answer.

    It sets three of the four allowed cache breakpoints: after the tools and after the system
    prompt, which all executions of a task share, and (top-level `cache_control`) after the last
    message, up to which the next call of this conversation is the same.
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
    # Compact and in UTF-8, as the SDK sends it: for most languages a third of the bytes.
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:  # in a conversation that an earlier version recorded
        return replace_surrogates(text).encode()


def _with_breakpoint(parts: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [*parts[:-1], {**parts[-1], "cache_control": _CACHE}]
