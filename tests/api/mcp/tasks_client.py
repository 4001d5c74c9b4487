"""The client's side of the tasks extension, on the reference client."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from mcp.client import ClaimContext, Client, ClientExtension, ResultClaim
from mcp.client.session import ClientSession
from mcp.types import CallToolResult, Request, RequestParams, Result

from api.mcp.tasks_extension import EXTENSION
from tests.waiting import eventually

Json = dict[str, Any]


class CreatedTask(Result):
    """The result of a call that became a task."""

    result_type: Literal["task"]
    task_id: str
    status: str
    status_message: str
    ttl_ms: int | None
    poll_interval_ms: int
    created_at: str
    last_updated_at: str


class TaskState(Result):
    """A task as `tasks/get` returns it."""

    result_type: Literal["complete"]
    task_id: str | None = None
    status: str | None = None
    status_message: str | None = None
    poll_interval_ms: int | None = None
    input_requests: Json | None = None
    result: Json | None = None


class TaskRequestParams(RequestParams):
    task_id: str
    input_responses: Json | None = None


class TaskRequest(Request[TaskRequestParams, str]):
    name_param = "taskId"


class TasksClient(ClientExtension):
    """Polls a task to its end. `answers` are used for its questions, one after the other."""

    identifier = EXTENSION

    def __init__(self, *answers: Mapping[str, Any]) -> None:
        self.answers = list(answers)
        self.created: list[CreatedTask] = []
        self.asked: list[Json] = []

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=CreatedTask, resolve=self._resolve)]

    async def _resolve(self, created: CreatedTask, context: ClaimContext) -> CallToolResult:
        self.created.append(created)
        seen: set[str] = set()
        while (state := await send(context.session, "get", created.task_id)).result is None:
            for key, asked in (state.input_requests or {}).items():
                if key not in seen:
                    seen.add(key)
                    self.asked.append(asked)
                    responses = {key: self.answers.pop(0)}
                    await send(context.session, "update", created.task_id, responses)
            await asyncio.sleep(0.05)
        return CallToolResult.model_validate(state.result)


async def send(
    session: ClientSession, verb: str, task_id: str, responses: Json | None = None
) -> TaskState:
    """Send `tasks/get`, `tasks/update` or `tasks/cancel`."""
    params = TaskRequestParams(task_id=task_id, input_responses=responses)
    return await session.send_request(TaskRequest(method=f"tasks/{verb}", params=params), TaskState)


async def create(client: Client, tool: str, **arguments: Any) -> CreatedTask:
    """Call a tool, which becomes a task."""
    created = await client.session.call_tool(tool, arguments, allow_claimed=True)
    assert isinstance(created, CreatedTask), created
    return created


async def wait_for(client: Client, task_id: str, status: str) -> TaskState:
    """Poll until the task has this status."""
    last: list[TaskState] = []

    async def is_reached() -> bool:
        last[:] = [await send(client.session, "get", task_id)]
        return last[0].status == status

    await eventually(is_reached, what=f"a task that is {status}")
    return last[0]


async def wait_for_question(client: Client, task_id: str) -> tuple[str, Json]:
    """Poll until the task asks something; the key and the request."""
    last: list[TaskState] = []

    async def is_asked() -> bool:
        last[:] = [await send(client.session, "get", task_id)]
        return bool(last[0].input_requests)

    await eventually(is_asked, what="a question of the task")
    [(key, asked)] = (last[0].input_requests or {}).items()
    return key, asked
