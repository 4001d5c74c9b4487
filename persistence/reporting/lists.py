"""What surrounds the calls in a report: messages, requests, subtasks, files."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.report_facts import Artifact, Excerpt, InputRequest, MessageSource, Subtask
from persistence.reporting.bounded import (
    SENTENCE_CHARS,
    Ends,
    Kept,
    as_text,
    beginning,
    ends,
    excerpt,
    milliseconds,
    shortened,
)
from persistence.reporting.places import message_of_call
from persistence.tables.artifacts import ArtifactRow
from persistence.tables.executions import ExecutionRow
from persistence.tables.input_requests import InputRequestRow
from persistence.tables.sessions import MessageRow
from persistence.tables.users import UserRow

MESSAGES = Kept(first=20, last=100)
"""How it began and how it came to its end; the middle is in the transcript (chosen)."""

OTHERS = Kept(first=50, last=50)
"""Requests, subtasks (at most 100 in a tree: design.md, section 5) and files."""

MAX_CONTENT_BYTES = 1_000_000
"""A longer message is not parsed: it would hold the event loop for some 10 ms (chosen)."""


async def messages(session: AsyncSession, execution_id: UUID) -> Ends[MessageSource]:
    """The live messages this execution added to its session."""
    size = func.octet_length(MessageRow.content)
    return await ends(
        session,
        MessageRow.id,
        [
            MessageRow.seq,
            MessageRow.role,
            MessageRow.created_at,
            MessageRow.stop_reason,
            case((size <= MAX_CONTENT_BYTES, MessageRow.content)).label("content"),
            size.label("chars"),
        ],
        where=[MessageRow.execution_id == execution_id, MessageRow.superseded_at.is_(None)],
        order=[MessageRow.seq],
        kept=MESSAGES,
        part=_message,
    )


def _message(row: Any) -> MessageSource:
    return MessageSource(
        seq=row.seq,
        role=row.role,
        at=row.created_at,
        stop_reason=row.stop_reason,
        content=row.content,
        chars=row.chars,
    )


async def input_requests(
    session: AsyncSession, execution_id: UUID, now: datetime
) -> Ends[InputRequest]:
    """What people were asked; what is open has waited until `now`."""
    subject = select(UserRow.subject).where(UserRow.id == InputRequestRow.answered_by)
    return await ends(
        session,
        InputRequestRow.id,
        [
            InputRequestRow.id,
            InputRequestRow.kind,
            *beginning(InputRequestRow.title, "title", SENTENCE_CHARS),
            InputRequestRow.status,
            InputRequestRow.tool_call_id,
            InputRequestRow.answer,
            subject.scalar_subquery().label("answered_by"),
            InputRequestRow.created_at,
            InputRequestRow.due_at,
            InputRequestRow.answered_at,
            message_of_call(execution_id, InputRequestRow.tool_call_id).label("message_seq"),
        ],
        where=[InputRequestRow.execution_id == execution_id],
        order=[InputRequestRow.id],
        kept=OTHERS,
        part=lambda row: _input_request(row, now),
    )


def _input_request(row: Any, now: datetime) -> InputRequest:
    answer: Mapping[str, Any] = row.answer or {}
    until = row.answered_at or (row.due_at if row.status == "expired" else None) or now
    return InputRequest(
        id=row.id,
        kind=row.kind,
        title=excerpt(row, "title") or shortened("", 0),
        status=row.status,
        tool_call_id=row.tool_call_id,
        decision=answer.get("decision"),
        answer=_said(answer),
        answered_by=row.answered_by,
        asked_at=row.created_at,
        answered_at=row.answered_at,
        waited_ms=milliseconds(row.created_at, until) or 0,
        message_seq=row.message_seq,
    )


def _said(answer: Mapping[str, Any]) -> Excerpt | None:
    """What a person wrote: values or an edited input, and a message; None for a mere decision."""
    values = answer.get("values") or answer.get("input")
    if isinstance(values, Mapping) and set(values) == {"answer"}:
        values = values["answer"]
    parts = [as_text(part) for part in (values, answer.get("message")) if part]
    return shortened("\n".join(parts), SENTENCE_CHARS) if parts else None


async def subtasks(session: AsyncSession, execution_id: UUID) -> Ends[Subtask]:
    """The executions this one started."""
    return await ends(
        session,
        ExecutionRow.id,
        [
            ExecutionRow.id,
            ExecutionRow.title,
            ExecutionRow.status,
            ExecutionRow.cost_usd,
            ExecutionRow.started_at,
            ExecutionRow.completed_at,
            message_of_call(execution_id, ExecutionRow.parent_tool_call_id).label("message_seq"),
        ],
        where=[ExecutionRow.parent_execution_id == execution_id],
        order=[ExecutionRow.id],
        kept=OTHERS,
        part=_subtask,
    )


def _subtask(row: Any) -> Subtask:
    return Subtask(
        execution_id=row.id,
        title=row.title,
        status=row.status,
        cost_usd=row.cost_usd,
        duration_ms=milliseconds(row.started_at, row.completed_at),
        message_seq=row.message_seq,
    )


async def artifacts(session: AsyncSession, execution_id: UUID) -> Ends[Artifact]:
    """The files it kept."""
    return await ends(
        session,
        ArtifactRow.id,
        [
            *(getattr(ArtifactRow, name) for name in _FILE),
            message_of_call(execution_id, ArtifactRow.tool_call_id).label("message_seq"),
        ],
        where=[ArtifactRow.execution_id == execution_id],
        order=[ArtifactRow.id],
        kept=OTHERS,
        part=lambda row: Artifact(**{name: getattr(row, name) for name in (*_FILE, "message_seq")}),
    )


_FILE = ("id", "name", "kind", "media_type", "size_bytes", "sha256")
