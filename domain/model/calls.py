"""The values of one model call: request, response and usage."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from domain.errors import ModelFailureKind
from domain.tools.requirements import ToolResource, list_given_resources

Block = Mapping[str, Any]
"""An Anthropic content block, normalised when it is received, then never edited; the order of its
keys is kept."""

WireMessage = Mapping[str, Any]
"""`{"role": "user" | "assistant", "content": [blocks]}`, as in the Messages API."""


class StopReason(StrEnum):
    """Why the model stopped (Messages API, 2026-10-21)."""

    END_TURN = "end_turn"
    TOOL_USE = "tool_use"
    MAX_TOKENS = "max_tokens"
    STOP_SEQUENCE = "stop_sequence"
    PAUSE_TURN = "pause_turn"
    REFUSAL = "refusal"
    CONTEXT_EXCEEDED = "model_context_window_exceeded"


@dataclass(frozen=True, slots=True)
class Prefix:
    """The common start of all requests of an execution, pinned when the execution starts.

    `options` holds the other parameters of the Messages API as they are sent (`thinking`,
    `output_config`, `temperature`, ...). `betas` become the `anthropic-beta` header.
    """

    model: str
    max_tokens: int
    system: Sequence[Block] = ()
    tools: Sequence[Mapping[str, Any]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    betas: Sequence[str] = ()
    mcp: Mapping[str, Any] | None = field(default_factory=dict)
    """The pinned tools of MCP servers (`domain.mcp.tools`); None until they are listed."""

    network: Sequence[str] = ()
    """The hosts that tools may connect to (`domain.web.network`); absent if there are none."""

    memory: Sequence[Mapping[str, str]] = ()
    """The namespaces that tools may use (`domain.memory.entries`); absent if there are none."""

    @property
    def resources(self) -> Collection[ToolResource]:
        """What the tools have."""
        return list_given_resources(network=self.network, memory=self.memory)

    def offers(self, tool: str) -> bool:
        """Whether the model is offered a tool."""
        return any(definition["name"] == tool for definition in self.tools)

    @property
    def is_pinned(self) -> bool:
        """Whether `tools` is complete."""
        return self.mcp is not None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A request: the pinned prefix and the conversation so far."""

    prefix: Prefix
    messages: Sequence[WireMessage]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input_tokens` excludes cached ones; the prompt is all four inputs."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens that the model read, cached or not."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
        )

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written to the prompt cache, with both lifetimes."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens


@dataclass(frozen=True, slots=True)
class ModelResponse:
    """A whole message of the model. `stop_reason` may be a value that we don't know.

    `malformed_inputs` maps the id of a tool call whose input was not a JSON object to the received
    text; its block has the input `{}`, so that it can be sent back. `is_usage_complete` is False if
    the usage is missing or unusable in part, so that it does not give the cost. `rate_limits`
    contains the `anthropic-ratelimit-*` headers without that prefix.
    """

    content: Sequence[Block]
    stop_reason: str
    usage: Usage
    model: str
    request_id: str | None = None
    stop_details: Mapping[str, Any] | None = None
    first_token_ms: int | None = None
    malformed_inputs: Mapping[str, str] = field(default_factory=dict)
    is_usage_complete: bool = True
    rate_limits: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailureCounts:
    """How often the call of a turn failed: since the last spend limit, and at the spend limit."""

    in_a_row: int
    at_spend_limit: int


def count_failures(kinds: Sequence[str | None]) -> FailureCounts:
    """Count the failures of a turn's call, the oldest first."""
    in_a_row = 0
    for kind in kinds:
        in_a_row = 0 if kind == ModelFailureKind.QUOTA else in_a_row + 1
    return FailureCounts(in_a_row, sum(kind == ModelFailureKind.QUOTA for kind in kinds))
