"""The tools as the loop sees them: built-in ones in their sandbox, outputs kept in the store."""

from uuid import UUID

from jsonschema import Draft202012Validator

from domain.engine_tools import ENGINE_TOOLS
from domain.ids import new_id
from domain.steps import NewArtifact
from domain.tool_calls import (
    OnStarted,
    ProcessIdentity,
    SavedFile,
    ToolInvocation,
    ToolOutcome,
    ToolSpec,
)
from persistence.blobs import BlobStore
from tools.registry import BUILTIN_TOOLS, Toolbox

ENGINE_INPUTS = {
    name: Draft202012Validator(spec.input_schema) for name, spec in ENGINE_TOOLS.items()
}


class SandboxedTools:
    """The loop's port to the toolbox and the store."""

    def __init__(self, toolbox: Toolbox, blobs: BlobStore) -> None:
        """One per worker."""
        self._toolbox = toolbox
        self._blobs = blobs

    def spec(self, name: str) -> ToolSpec | None:
        """The built-in tool of that name, or None."""
        return BUILTIN_TOOLS.get(name)

    def input_problem(self, name: str, tool_input: object) -> str | None:
        """Why the input does not fit the tool's schema, as a sentence for the model, or None."""
        validator = ENGINE_INPUTS.get(name)
        if validator is None:
            return self._toolbox.validate_input(name, tool_input)
        error = next(validator.iter_errors(tool_input), None)
        return None if error is None else f"The input of {name} is invalid: {error.message}"

    async def run(self, invocation: ToolInvocation, *, on_started: OnStarted) -> ToolOutcome:
        """Run one call in the sandbox."""
        return await self._toolbox.run(invocation, on_started=on_started)

    async def end_process(self, identity: ProcessIdentity) -> None:
        """End a process group that a former attempt left behind on this host."""
        await self._toolbox.end_process(identity)

    async def keep(self, file: SavedFile, *, kind: str, tool_call_id: UUID) -> NewArtifact:
        """Put a file into the store, before the step that lists it."""
        await self._blobs.put(file.path, file.sha256)
        return NewArtifact(
            id=new_id(),
            kind=kind,
            name=file.name,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            tool_call_id=tool_call_id,
        )
