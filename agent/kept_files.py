"""The files of a tool call, in the store of artifacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agent.ports import Store
from domain.executions.events import Event, artifact_saved
from domain.executions.steps import NewArtifact
from domain.rules.entries import READ_ARTIFACT
from domain.tools.calls import ToolOutcome


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """What a call saved, and its output if the model gets only a part of it."""

    saved: Sequence[NewArtifact]
    whole_output: NewArtifact | None

    @property
    def artifacts(self) -> Sequence[NewArtifact]:
        """All of them, for the step that lists them."""
        return [*self.saved, *filter(None, [self.whole_output])]

    @property
    def events(self) -> Sequence[Event]:
        """The events of the saved files."""
        return [artifact_saved(file.id, file.name, file.size_bytes) for file in self.saved]

    @property
    def whole_output_id(self) -> UUID | None:
        """The id of the whole output."""
        return None if self.whole_output is None else self.whole_output.id

    def describe(self) -> str:
        """A note with the ids, for a model that can read artifacts."""
        files = [f"{file.name} is the artifact {file.id}" for file in self.saved]
        if self.whole_output is not None:
            files.append(f"the whole output is the artifact {self.whole_output.id}")
        return f"\n(For {READ_ARTIFACT}: {'; '.join(files)}.)" if files else ""


async def keep_files(store: Store, outcome: ToolOutcome, call_id: UUID) -> KeptFiles:
    """Move the files of a call into the store."""
    saved = [
        await store.keep(file, kind="artifact", tool_call_id=call_id) for file in outcome.artifacts
    ]
    if outcome.whole_output is None:
        return KeptFiles(saved, None)
    whole = await store.keep(outcome.whole_output, kind="tool_output", tool_call_id=call_id)
    return KeptFiles(saved, whole)
