"""The state of an execution in memory while a `Runner` moves it."""

from dataclasses import dataclass, field
from uuid import UUID

from agent.interrupts import InterruptWatcher
from domain.executions.steps import ToolCall
from domain.tools.calls import ToolProgress


@dataclass(slots=True)
class StreamedText:
    """The live updates of an execution; the loop's port for them."""

    deltas: list[str] = field(default_factory=list)
    event_seqs: list[int] = field(default_factory=list)
    progress: list[tuple[int, str, ToolProgress]] = field(default_factory=list)

    def publish_text(self, turn: int, delta: str) -> None:
        del turn
        self.deltas.append(delta)

    def publish_progress(self, turn: int, call: ToolCall, progress: ToolProgress) -> None:
        self.progress.append((turn, call.name, progress))

    def publish_step(self, event_seq: int, *, is_settled: bool) -> None:
        del is_settled
        self.event_seqs.append(event_seq)


@dataclass(slots=True)
class RunningExecution:
    """An execution that the runner moves: its segments, and the signals that reach it."""

    wakes: int = 0
    segments: int = 0
    started_children: set[UUID] = field(default_factory=set)
    interrupts: InterruptWatcher | None = None
    skips_time: bool = False
    live: StreamedText = field(default_factory=StreamedText)
