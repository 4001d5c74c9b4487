"""The conversation as it is recorded, and as it is sent to the model."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from domain.executions.steps import NewMessage, StoredMessage
from domain.ids import new_id
from domain.model.calls import ModelRequest, Prefix, StopReason
from domain.model.compaction import COMPACTION, is_summary

UNFINISHED = (StopReason.PAUSE_TURN, StopReason.MAX_TOKENS)

THINKING = {"thinking": "signature", "redacted_thinking": "data"}
"""Types of blocks that are signed, with the field that the API checks."""

BOUND_BLOCKS = frozenset({*THINKING, COMPACTION})
"""Types of blocks that only requests with the same model and prefix may contain."""

USER_BLOCKS = frozenset({"tool_result", "image", "document"})
"""Types of blocks that the API accepts in user messages only."""

NOTHING_WRITTEN = "(The output limit was reached before any text.)"
"""Sent in place of a truncated turn of which nothing can be sent."""


def encode(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Encode blocks as the stored JSON text: ASCII, with the keys in their original order."""
    return json.dumps(blocks, separators=(",", ":"))


class RecordedTranscript:
    """The messages so far, parsed once, with an incremental hash of their stored text."""

    def __init__(
        self,
        messages: Iterable[StoredMessage],
        prefix_sha256: bytes,
        *,
        foreign_executions: frozenset[UUID] = frozenset(),
    ) -> None:
        """`messages` are the session's, oldest first, without superseded ones.

        The thinking and the summaries of `foreign_executions` are not sent: they are signed for
        their model and prefix, and the API refuses them with any other. The stored messages keep
        them.
        """
        self._foreign_executions = foreign_executions
        self._wire: list[dict[str, Any]] = []
        self._hash = hashlib.sha256(prefix_sha256)
        self.content_bytes = 0
        """Bytes of the messages that the model reads."""
        self.continuations = 0
        """Incomplete turns in a row, up to the last message."""
        self.last: StoredMessage | None = None
        self.last_blocks: Sequence[Mapping[str, Any]] = ()
        """The blocks of the last message."""
        self._answers: dict[UUID, Sequence[Mapping[str, Any]]] = {}
        for message in messages:
            self.append(message)

    def append(self, message: StoredMessage) -> None:
        """Add a recorded message."""
        blocks = json.loads(message.content)
        self.last, self.last_blocks = message, blocks
        sent = self._select_blocks(message, blocks)
        self._add_to_request(message.role, sent)
        self._hash.update(f"{message.role}\0{message.content}\n".encode())
        if any(is_summary(block) for block in sent):
            self.content_bytes = 0  # the API does not read what precedes the summary
        self.content_bytes += len(message.content)
        if message.role == "assistant":
            if join_text(blocks).strip():
                self._answers[message.execution_id] = blocks
            unfinished = message.stop_reason in UNFINISHED
            self.continuations = self.continuations + 1 if unfinished else 0

    def _select_blocks(
        self, message: StoredMessage, blocks: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """The blocks of a message that the API accepts in the next request."""
        if message.role != "assistant":
            return [block for block in blocks if not _is_blank(block)]
        is_foreign = message.execution_id in self._foreign_executions
        sent = [
            block
            for block in blocks
            if _is_accepted(block) and not (is_foreign and block["type"] in BOUND_BLOCKS)
        ]
        if blocks and not sent and message.stop_reason == StopReason.MAX_TOKENS:
            return [text_block(NOTHING_WRITTEN)]
        return sent

    def _add_to_request(self, role: str, blocks: Sequence[Mapping[str, Any]]) -> None:
        """Add a message to the next request, unless it has no blocks, which the API refuses.

        Adjacent user messages are sent as one, which is how the API reads them; a paused turn and
        its continuation remain two.
        """
        if not blocks:
            return
        if role == "user" and self._wire and self._wire[-1]["role"] == "user":
            blocks = [*self._wire.pop()["content"], *blocks]
        self._wire.append({"role": role, "content": blocks})

    @property
    def next_seq(self) -> int:
        """The number of the next message."""
        return self.last.seq + 1 if self.last else 1

    def request(self, prefix: Prefix) -> ModelRequest:
        """The next request."""
        return ModelRequest(prefix=prefix, messages=self._wire)

    def last_answer(self, execution_id: UUID) -> Sequence[Mapping[str, Any]]:
        """The last answer of an execution that contains text, or nothing."""
        return self._answers.get(execution_id, ())

    def fingerprint(self) -> bytes:
        """The sha256 of the pinned prefix and the stored text of every message."""
        return self._hash.copy().digest()

    def compose(self, role: str, blocks: Sequence[Mapping[str, Any]], **facts: Any) -> NewMessage:
        """Make the next message, to be written in a step."""
        return NewMessage(
            id=new_id(), seq=self.next_seq, role=role, content=encode(blocks), **facts
        )

    def append_new(self, message: NewMessage, execution_id: UUID) -> None:
        """Add a new message, which a step writes."""
        self.append(
            StoredMessage(
                seq=message.seq,
                role=message.role,
                content=message.content,
                execution_id=execution_id,
                stop_reason=message.stop_reason,
            )
        )


def _is_blank(block: Mapping[str, Any]) -> bool:
    """Whether it is a blank text block: the model may write one, but the API accepts none."""
    return block.get("type") == "text" and not str(block.get("text") or "").strip()


def _is_accepted(block: Mapping[str, Any]) -> bool:
    """Whether the API accepts a block of an answer when it is sent back.

    Proxies to other models send thinking without a signature.
    """
    kind = block.get("type")
    if kind in THINKING:
        value = block.get(THINKING[kind])
        return isinstance(value, str) and bool(value.strip())
    return kind is not None and kind not in USER_BLOCKS and not _is_blank(block)


def join_text(blocks: Sequence[Mapping[str, Any]]) -> str:
    """Join the text blocks of a message."""
    return "".join(b["text"] for b in blocks if b.get("type") == "text" and b.get("text"))


def text_block(text: str) -> dict[str, Any]:
    """Make a text block."""
    return {"type": "text", "text": text}


def result_block(tool_use_id: str, text: str, *, is_error: bool) -> dict[str, Any]:
    """Make the block of a tool's result."""
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": tool_use_id, "content": text}
    return {**block, "is_error": True} if is_error else block


def tool_uses(blocks: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The tool calls of a message."""
    return [b for b in blocks if b.get("type") == "tool_use"]
