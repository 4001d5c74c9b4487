"""Counts tokens like the API, from the request alone.

A token is four bytes. With prompt caching, the part up to the last answer counts as read from the
cache, because the previous call sent it, and the rest as written to it. There is no state: equal
requests have equal counts on every server, also after a restart.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_BYTES_PER_TOKEN = 4  # Anthropic's rule of thumb for English prose (glossary, "tokens")
_UNCACHED_TOKENS = 4  # what follows the last breakpoint in a request that caches automatically


def count(
    body: Mapping[str, Any], body_bytes: int, content: Sequence[Any], overrides: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the `usage` object of an answer, with at most `max_tokens` of output."""
    prompt = max(body_bytes // _BYTES_PER_TOKEN, 1)
    produced = max(len(json.dumps(content)) // _BYTES_PER_TOKEN, 1)
    cached = bool(body.get("cache_control"))
    fresh = _fresh_tokens(body["messages"], prompt) if cached else 0
    return {
        "input_tokens": _UNCACHED_TOKENS if cached else prompt,
        "cache_creation_input_tokens": fresh,
        "cache_read_input_tokens": prompt - fresh if cached else 0,
        "cache_creation": {"ephemeral_5m_input_tokens": fresh, "ephemeral_1h_input_tokens": 0},
        "output_tokens": min(produced, body["max_tokens"]),
        "service_tier": "standard",
        **overrides,
    }


def _fresh_tokens(messages: Sequence[Mapping[str, Any]], prompt: int) -> int:
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["role"] == "assistant":
            return min(len(json.dumps(messages[index:])) // _BYTES_PER_TOKEN, prompt)
    return prompt
