"""Creates, changes and deletes sessions."""

from collections.abc import Sequence
from uuid import UUID

from definitions.tasks import SdkOptions
from domain.errors import ExecutionActiveError
from persistence.executions import queries
from persistence.sessions import sessions, workspaces
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import SessionRow
from services.definitions import inline_work
from services.executions.access import get_own_session
from services.executions.inputs import SessionCreate, SessionUpdate
from services.unit_of_work import Precondition, UnitOfWork

LISTED_EXECUTIONS = 3
"""Executions that a refusal lists (chosen: enough to see what is still active)."""


async def create_session(work: UnitOfWork, body: SessionCreate) -> SessionRow:
    """Create an interactive session: a conversation with an agent, or with the model alone.

    Without a choice in the body, the first message chooses (`choose_agent`).
    """
    agent = await inline_work.find_checked_agent(work, body.agent_id, body.sdk_options)
    row = SessionRow(
        user_id=work.caller.user_id,
        name=f"Conversation with {agent.name}" if agent else "Conversation",
        title=body.title,
        agent_id=body.agent_id,
        agent_source="user" if "agent_id" in body.model_fields_set else None,
        sdk_options=body.sdk_options.model_dump(mode="json", exclude_unset=True),
        is_interactive=True,
    )
    await sessions.create(work.session, row)
    after = {"agent_id": row.agent_id, "title": row.title}
    await work.record_audit("session.create", ("session", row.id), after=after)
    return row


async def update_session(
    work: UnitOfWork,
    session_id: UUID,
    update: SessionUpdate,
    precondition: Precondition,
) -> SessionRow:
    """Change the title of a session, or the agent of its next turns; null removes it."""
    row = await get_own_session(work.session, work.caller, session_id, lock=True)
    precondition(row)
    before = _audited_fields(row)
    if "title" in update.model_fields_set:
        await sessions.rename(work.session, row, update.title)
    if "agent_id" in update.model_fields_set:
        options = SdkOptions.model_validate(row.sdk_options or {})
        await inline_work.find_checked_agent(work, update.agent_id, options)
        await sessions.set_agent(work.session, row, update.agent_id, source="user", reason=None)
    await work.record_audit(
        "session.update",
        ("session", session_id),
        before=before,
        after=_audited_fields(row),
        owner_id=row.user_id,
    )
    return row


def _audited_fields(row: SessionRow) -> dict[str, str | None]:
    return {"title": row.title, "agent_id": row.agent_id}


async def delete_session(work: UnitOfWork, session_id: UUID, precondition: Precondition) -> None:
    """Delete a session in which no execution is active. Its executions stay readable.

    Raises:
        ExecutionActiveError: executions of it have not ended; lists the first of them.
    """
    row = await get_own_session(work.session, work.caller, session_id, lock=True)
    precondition(row)
    active = await queries.list_unfinished(work.session, session_id, limit=LISTED_EXECUTIONS + 1)
    _require_none_active(active)
    await sessions.delete(work.session, row)
    await workspaces.delete_all(work.session, session_id)
    await work.record_audit(
        "session.delete",
        ("session", session_id),
        before={"name": row.name, "title": row.title},
        owner_id=row.user_id,
    )


def _require_none_active(active: Sequence[ExecutionRow]) -> None:
    if not active:
        return
    listed = ", ".join(f"{row.id} ({_describe_status(row)})" for row in active[:LISTED_EXECUTIONS])
    more = " and others" if len(active) > LISTED_EXECUTIONS else ""
    raise ExecutionActiveError(
        f"Executions of this session have not ended: {listed}{more}. Cancel them first."
    )


def _describe_status(row: ExecutionRow) -> str:
    return f"{row.status}: {row.status_reason}" if row.status_reason else row.status
