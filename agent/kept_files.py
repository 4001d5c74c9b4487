"""The files of a tool call, in the store of artifacts."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from agent.ports import Store
from domain.errors import BlobStoreUnavailableError
from domain.executions.events import Event, artifact_saved
from domain.files.artifacts import NewArtifact
from domain.model.calls import Prefix
from domain.rules.entries import READ_ARTIFACT
from domain.tools.calls import SavedFile, ToolOutcome


@dataclass(frozen=True, slots=True)
class KeptFiles:
    """What a call saved, and its output if the model gets only a part of it."""

    saved: Sequence[NewArtifact]
    whole_output: NewArtifact | None
    lost: Sequence[str] = ()
    """For the model: the files that the store could not take, each with the reason."""

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

    def describe(self, prefix: Prefix) -> str:
        """Notes for the model: ids, if it can read artifacts, and which files were lost."""
        files = [f"{file.name} is the artifact {file.id}" for file in self.saved]
        if self.whole_output is not None:
            files.append(f"the whole output is the artifact {self.whole_output.id}")
        can_read = prefix.offers(READ_ARTIFACT)
        ids = f"\n(For {READ_ARTIFACT}: {'; '.join(files)}.)" if files and can_read else ""
        return ids + "".join(f"\n({lost})" for lost in self.lost)


async def keep_files(store: Store, outcome: ToolOutcome, call_id: UUID) -> KeptFiles:
    """Move the files of a call into the store.

    The call has had its effect. If the store can't take a file, the outcome is recorded without it.
    """
    lost: list[str] = []

    async def keep(file: SavedFile, kind: str, name: str) -> NewArtifact | None:
        try:
            return await store.keep(file, kind=kind, tool_call_id=call_id)
        except BlobStoreUnavailableError as error:
            lost.append(f"Not stored as an artifact: {name}. {error.detail}")
            return None

    # At once, so that all of them wait for the store together.
    saved = await asyncio.gather(*(keep(file, "artifact", file.name) for file in outcome.artifacts))
    whole = outcome.whole_output
    kept = None if whole is None else await keep(whole, "tool_output", "the whole output")
    return KeptFiles([file for file in saved if file is not None], kept, lost)
