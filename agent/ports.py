"""What the loop needs of the world. The worker hands in real ones; tests hand in real ones too."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from domain.model_calls import ModelRequest, ModelResponse
from domain.steps import CallOutcome, Inbox, NewArtifact, Receipt, Snapshot, Step
from domain.tool_calls import (
    OnStarted,
    ProcessIdentity,
    SavedFile,
    ToolInvocation,
    ToolOutcome,
    ToolSpec,
)


class Model(Protocol):
    """Claude, by whatever way."""

    async def ready(self) -> None:
        """Return when calls can be made at once; the first time in a process this takes seconds."""
        ...

    async def call(
        self, request: ModelRequest, *, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """One whole message. Raises `ModelCallError`; cancelling closes the connection."""
        ...


class Prices(Protocol):
    """What calls cost."""

    def estimate(self, model: str, prompt_bytes: int, max_tokens: int) -> Decimal | None:
        """The most a call can cost in USD, or None where the model has no known price."""
        ...

    def price(self, model: str, response: ModelResponse) -> Decimal | None:
        """What a call to `model` did cost in USD, or None."""
        ...


class Tools(Protocol):
    """The tools that run in the worker, in their sandbox."""

    def spec(self, name: str) -> ToolSpec | None:
        """The tool of that name, or None."""
        ...

    def input_problem(self, name: str, tool_input: object) -> str | None:
        """Why the input does not fit the tool's schema, as a sentence for the model, or None."""
        ...

    async def run(self, invocation: ToolInvocation, *, on_started: OnStarted) -> ToolOutcome:
        """Run one call. What the model did wrong is an error outcome, not an exception."""
        ...

    async def end_process(self, identity: ProcessIdentity) -> None:
        """End a process group that a former attempt left behind on this host."""
        ...


class Store(Protocol):
    """Where files that outlive a workspace are kept."""

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        """Take a file over, before the step that lists it."""
        ...


class Record(Protocol):
    """The durable record of one execution, held by one writer. Fenced out: `FencedOutError`."""

    async def begin(self) -> Snapshot:
        """Become the one writer and read where the record stands."""
        ...

    async def write(self, step: Step) -> Receipt:
        """Write a step, whole or not at all."""
        ...

    async def hear(self) -> Inbox:
        """Read what was said and not consumed; consuming it is part of a step."""
        ...

    async def settle(self, outcome: CallOutcome) -> None:
        """Replace an estimate by what a call did cost, even if another attempt writes now."""
        ...

    async def descendants(self) -> int:
        """How many subtasks the whole tree of this execution has."""
        ...


class Audience(Protocol):
    """Whoever looks at the execution right now."""

    def text(self, turn: int, delta: str) -> None:
        """Text as it streams; may be lost."""
        ...

    def stepped(self, event_seq: int, *, is_settled: bool) -> None:
        """A step was written; `is_settled` when from now on nothing happens without a person."""
        ...
