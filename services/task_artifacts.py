"""The artifacts of executions, for the tools of the model (`tools.artifacts.ArtifactStore`)."""

from uuid import UUID

from domain.errors import BlobMissingError, InvalidInputError, ToolInputError
from domain.files.artifacts import ArtifactPart
from domain.ids import is_id
from domain.tools.calls import ToolInvocation
from persistence.sessions import artifacts
from services.artifacts import read_part
from services.unit_of_work import Services


class TaskArtifacts:
    """Reads what an execution may read: the artifacts of its tree and of its session."""

    def __init__(self, services: Services) -> None:
        """`services` are those of the worker."""
        self._services = services

    async def read(self, call: ToolInvocation, offset: int, most_bytes: int) -> ArtifactPart:
        """Return a part of the artifact that the call names."""
        wanted = call.input["artifact_id"]
        row = None
        if is_id(wanted):
            async with self._services.database.reading() as session:
                row = await artifacts.find_related(session, UUID(wanted), call.execution_id)
        if row is None:
            raise ToolInputError(
                f"There is no artifact {wanted!r} that this task may read. Use an id from the "
                "result of a tool or of a subtask."
            )
        try:
            return await read_part(self._services.blobs, row, offset, most_bytes)
        except InvalidInputError as error:
            raise ToolInputError(" ".join(problem.msg for problem in error.problems)) from error
        except BlobMissingError as error:
            raise ToolInputError(error.detail) from error
