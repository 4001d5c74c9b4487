"""Remembered decisions: stores, lists and revokes them, and finds those that apply."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from domain.people.remembered_decisions import RememberedDecision
from persistence.db.paging import Filters, Page, Window, matching, newest
from persistence.tables.columns import read_as
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from persistence.tables.people import RememberedDecisionRow
from persistence.tables.sessions import InputRequestRow


async def list_applying(
    session: AsyncSession, execution_id: UUID, tool_name: str
) -> Sequence[RememberedDecision]:
    """The rules about a tool that apply to an execution now, oldest first."""
    rule, execution = RememberedDecisionRow, ExecutionRow
    rows = await session.execute(
        select(rule, UserRow.subject)
        .join(UserRow, UserRow.id == rule.author_id)
        .join(execution, execution.user_id == rule.user_id)
        .where(
            execution.id == execution_id,
            rule.tool_name == tool_name,
            rule.revoked_at.is_(None),
            or_(rule.expires_at.is_(None), rule.expires_at > func.now()),
            or_(rule.execution_id == execution.id, rule.task_id == execution.task_id),
        )
        .order_by(rule.id)
    )
    return [read_as(RememberedDecision, row, author=author) for row, author in rows]


async def find(
    session: AsyncSession, rule_id: UUID, *, lock: bool = False
) -> RememberedDecisionRow | None:
    """The rule, unless it is revoked."""
    row = await session.get(
        RememberedDecisionRow, rule_id, with_for_update=lock or None, populate_existing=lock
    )
    return None if row is None or row.revoked_at is not None else row


async def find_by_request(
    session: AsyncSession, request: InputRequestRow
) -> RememberedDecisionRow | None:
    """The rule that was stored with the answer to a request, unless it is revoked."""
    rule = RememberedDecisionRow
    found: RememberedDecisionRow | None = await session.scalar(
        select(rule).where(
            rule.user_id == request.user_id,
            rule.input_request_id == request.id,
            rule.revoked_at.is_(None),
        )
    )
    return found


async def page(
    session: AsyncSession, user_id: UUID, filters: Filters, window: Window
) -> Page[RememberedDecisionRow]:
    """The rules for the user's executions, and the user's rules for those of others."""
    rule = RememberedDecisionRow
    conditions = [rule.revoked_at.is_(None), *matching(rule, filters)]
    own = and_(rule.user_id == user_id, *conditions)
    authored = and_(
        rule.author_id == user_id,
        rule.author_id != rule.user_id,
        rule.user_id != user_id,
        *conditions,
    )
    return await newest(session, rule, rule.id, [own, authored], window)


async def revoke(session: AsyncSession, row: RememberedDecisionRow) -> None:
    """Revoke a locked rule; calls that it has decided stay decided."""
    row.revoked_at = datetime.now(UTC)
    await session.flush()
