"""Request and response bodies of sessions."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.executions.schemas import ExecutionRead, MessageRead
from api.http.bodies import JsonBody
from api.http.paging import OwnedQuery
from api.http.request_context import Called
from api.http.schemas import Read
from services.definitions.inline_work import MESSAGE
from services.executions import messaging
from services.executions.inputs import SessionWork, Word

LATEST = 100
MOST = 1_000
"""Maximum messages per response (chosen: a thousand with 2 KB each are 2 MB)."""


class SessionQuery(OwnedQuery):
    """Filters for sessions."""

    is_interactive: bool | None = None
    agent_id: Word | None = None


class MessageQuery(BaseModel):
    """The number of messages to return."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MOST)] = LATEST


class Transcript(Read):
    """The latest messages, oldest first."""

    paths = {"self": "/sessions/{session_id}/messages", "session": "/sessions/{session_id}"}

    items: list[MessageRead]


class SessionRead(Read):
    """A session."""

    paths = {
        "self": "/sessions/{id}",
        "messages": "/sessions/{id}/messages",
        "tasks": "/sessions/{id}/tasks",
        "executions": "/task-executions?session_id={id}",
    }

    id: UUID
    user_id: UUID
    name: str
    title: str | None
    agent_id: str | None
    agent_source: Annotated[
        Literal["user", "capabilities"] | None,
        Field(description="Who chose the agent. Null: the first message will."),
    ]
    agent_reason: Annotated[
        str | None, Field(description="Why the first message chose this agent, or none.")
    ]
    sdk_options: dict[str, Any] | None
    is_interactive: bool
    created_at: datetime
    updated_at: datetime


class SessionWorkBody(JsonBody[SessionWork]):
    """Reads the body of work in a session, after a check that the session and the agent exist."""

    async def __call__(self, call: Called, session_id: UUID) -> SessionWork:  # type: ignore[override]  # FastAPI passes the path's parameter
        """Read and validate.

        Raises:
            NotFoundError: there is no such session, or no such agent; before the rest is checked.
        """
        agent_id = _read_agent_id(await call.body())
        async with call.gateway.database.reading() as session:
            await messaging.find_references(session, call.caller, session_id, agent_id)
        return await super().__call__(call)


def _read_agent_id(raw: bytes) -> str | None:
    """The agent in a body that may be invalid otherwise."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    agent_id = body.get("agent_id") if isinstance(body, dict) else None
    return agent_id if isinstance(agent_id, str) and agent_id else None


class SessionWorkRead(ExecutionRead):
    """Work of an agent in a session: an execution, with the input as it was sent."""

    input: Any


def render_session_work(read: ExecutionRead) -> SessionWorkRead:
    """Return the execution with its input."""
    return SessionWorkRead(**dict(read), input=read.prompt_variables.get(MESSAGE))
