"""A server on the reference SDK: results with files, tasks, and requests for input."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import uvicorn
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import Elicit, MCPServer, Resolve
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    RequestParams,
    ResourceLink,
    TextContent,
)
from pydantic import BaseModel

from mcp_client.tasks import EXTENSION

WORKED = {"content": [{"type": "text", "text": "worked"}]}
Guard = Callable[[Any], Any]
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(32))


class TaskIdParams(RequestParams):
    """As the extension has them."""

    task_id: str
    input_responses: dict[str, Any] | None = None


class Order(BaseModel):
    """What a person is asked."""

    count: int
    gift: bool = False


@dataclass
class StoredTask:
    """A task; tests decide what it does next."""

    id: str
    status: str = "working"
    input_requests: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    responses: dict[str, Any] = field(default_factory=dict)
    polls: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)
    started_at: float = field(default_factory=time.monotonic)


class ServerTasks(Extension):
    """Makes every call of `work` a task."""

    identifier = EXTENSION

    def __init__(self) -> None:
        self.tasks: list[StoredTask] = []
        self.cancelled: list[str] = []
        self.poll_ms = 50
        self.work_seconds: float | None = None
        """After this time a task completes by itself."""

    def methods(self) -> Sequence[MethodBinding]:
        modern = frozenset({"2026-07-28"})
        return [
            MethodBinding("tasks/get", TaskIdParams, self._get, modern),
            MethodBinding("tasks/update", TaskIdParams, self._update, modern),
            MethodBinding("tasks/cancel", TaskIdParams, self._cancel, modern),
        ]

    async def intercept_tool_call(self, params: Any, ctx: Any, call_next: Any) -> Any:
        if params.name != "work":
            return await call_next(ctx)
        assert EXTENSION in (ctx.session.client_capabilities.extensions or {})
        task = StoredTask(f"task-{len(self.tasks) + 1}", arguments=dict(params.arguments or {}))
        self.tasks.append(task)
        return {"resultType": "task", **self._render(task)}

    def find(self, task_id: str) -> StoredTask:
        found = next((task for task in self.tasks if task.id == task_id), None)
        if found is None:
            raise MCPError(INVALID_PARAMS, "There is no such task.")
        return found

    async def _get(self, ctx: Any, params: TaskIdParams) -> dict[str, Any]:
        del ctx
        task = self.find(params.task_id)
        task.polls += 1
        if self.work_seconds is not None and time.monotonic() - task.started_at > self.work_seconds:
            task.status, task.result = "completed", WORKED
        more = {"inputRequests": task.input_requests} if task.input_requests else {}
        if task.result is not None:
            more["result"] = task.result
        if task.error is not None:
            more["error"] = task.error
        return {"resultType": "complete", **self._render(task), **more}

    async def _update(self, ctx: Any, params: TaskIdParams) -> dict[str, Any]:
        del ctx
        task = self.find(params.task_id)
        task.responses |= params.input_responses or {}
        return {"resultType": "complete"}

    async def _cancel(self, ctx: Any, params: TaskIdParams) -> dict[str, Any]:
        del ctx
        self.cancelled.append(self.find(params.task_id).id)
        return {"resultType": "complete"}

    def _render(self, task: StoredTask) -> dict[str, Any]:
        return {"taskId": task.id, "status": task.status, "pollIntervalMs": self.poll_ms}


async def ask_for_order() -> Elicit[Order]:
    return Elicit("How many?", Order)


class RemoteServer:
    """The server, and what it was asked to do. `url` is its address."""

    def __init__(self) -> None:
        self.url = ""
        self.orders: list[Order] = []
        self.tasks = ServerTasks()
        self.server = MCPServer("shop", extensions=[self.tasks])
        self.server.add_tool(self.files, structured_output=False)
        self.server.add_tool(self.work, structured_output=False)
        self.server.add_tool(self.order, structured_output=False)
        self.server.resource("shop://report/7", mime_type="text/csv")(self.report)

    async def report(self) -> str:
        return "a,b\n1,2\n"

    async def files(self) -> CallToolResult:
        """Return one part of each kind."""
        data = base64.b64encode(PNG).decode()
        blob = BlobResourceContents(uri="shop://x/a%20b.bin", blob=data)
        return CallToolResult(
            content=[
                TextContent(text="here"),
                ImageContent(data=data, mime_type="image/png"),
                ImageContent(data=data, mime_type="image/png"),
                AudioContent(data="not base64!", mime_type="audio/wav"),
                EmbeddedResource(resource=blob),
                EmbeddedResource(resource=BlobResourceContents(uri="shop://[x", blob=data)),
                ResourceLink(name="numbers", uri="shop://report/7", description="of today"),
                ResourceLink(name="gone", uri="shop://gone"),
            ]
        )

    async def work(self, item: str = "") -> str:
        """Work for a long time."""
        raise AssertionError(f"{item} is always a task")

    async def order(self, order: Annotated[Order, Resolve(ask_for_order)]) -> str:
        """Order what a person wants."""
        self.orders.append(order)
        return f"ordered {order.count}"

    @asynccontextmanager
    async def serve(self, guard: Guard | None = None) -> AsyncIterator[None]:
        """Serve it over streamable HTTP while the block lasts; `guard` wraps the app."""
        app = self.server.streamable_http_app()
        app = app if guard is None else guard(app)
        config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        async with asyncio.timeout(30):
            while not server.started:  # noqa: ASYNC110 - uvicorn offers no event
                await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/mcp"
        yield
        server.should_exit = True
        await serving
