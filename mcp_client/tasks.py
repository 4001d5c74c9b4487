"""The client's side of the extension for tasks (SEP-2663), and the results of a tool call."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import mcp_types as types
from mcp.client import ClaimContext, ClientExtension, ResultClaim
from pydantic import Discriminator, Tag, TypeAdapter

EXTENSION = "io.modelcontextprotocol/tasks"


class CreatedTask(types.Result):
    """The result of a call that became a task of the server."""

    result_type: Literal["task"]
    task_id: str
    status: str = "working"
    poll_interval_ms: int | None = None


class TaskState(types.Result):
    """A task as `tasks/get` returns it."""

    status: str = "working"
    status_message: str | None = None
    poll_interval_ms: int | None = None
    input_requests: dict[str, Any] | None = None
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class TaskParams(types.RequestParams):
    """The parameters of `tasks/get`, `tasks/update` and `tasks/cancel`."""

    task_id: str
    input_responses: dict[str, Any] | None = None


class TaskRequest(types.Request[TaskParams, str]):
    """One of these three requests."""

    name_param = "taskId"


class Tasks(ClientExtension):
    """Declares that calls may become tasks; `Connection` reads them itself."""

    identifier = EXTENSION

    def claims(self) -> Sequence[ResultClaim[Any]]:
        """Return the result by which a call becomes a task."""
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=_leave_to_caller)]


async def _leave_to_caller(created: CreatedTask, context: ClaimContext) -> types.CallToolResult:
    del context
    raise RuntimeError(f"the task {created.task_id} is to be polled by the caller")


def _result_type(raw: Any) -> str:
    found = raw.get("resultType") if isinstance(raw, Mapping) else None
    return found if found in {"input_required", "task"} else "complete"


CallResult = types.CallToolResult | types.InputRequiredResult | CreatedTask

CALL_RESULT: TypeAdapter[CallResult] = TypeAdapter(
    Annotated[
        Annotated[types.CallToolResult, Tag("complete")]
        | Annotated[types.InputRequiredResult, Tag("input_required")]
        | Annotated[CreatedTask, Tag("task")],
        Discriminator(_result_type),
    ]
)
