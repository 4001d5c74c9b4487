"""Compaction: the Messages API replaces the start of a conversation by a summary.

The answer begins with a block that holds the summary. The block is stored and sent back like any
other; the API ignores everything before it (platform.claude.com, compaction at a token threshold,
read 2026-11-29).
"""

from collections.abc import Mapping
from typing import Any

COMPACTION_BETA = "compact-2026-01-12"
"""The value of the header `anthropic-beta`."""

COMPACTION = "compaction"
"""The type of the block, and of the entry in `usage.iterations` that counts its tokens."""

_EDIT = "compact_20260112"


def make_compaction(tokens: int) -> Mapping[str, Any]:
    """The parameter `context_management`, for compaction of prompts of this size or larger."""
    trigger = {"type": "input_tokens", "value": tokens}
    return {"edits": [{"type": _EDIT, "trigger": trigger}]}


def compaction_tokens(options: Mapping[str, Any]) -> int | None:
    """The size from which on the API compacts prompts; None if it never does."""
    edits = options.get("context_management", {}).get("edits", ())
    return next((edit["trigger"]["value"] for edit in edits if edit["type"] == _EDIT), None)


def is_summary(block: Mapping[str, Any]) -> bool:
    """Whether a block replaces what precedes it. One without content is a failed compaction."""
    return block.get("type") == COMPACTION and block.get("content") is not None
