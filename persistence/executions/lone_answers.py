"""Stores answers that change nothing but their request, each in one statement.

Other answers raise budgets, start plans, are remembered, can be withdrawn or need the approvals of
more people: a transaction stores them (`input_requests.answer`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.ids import new_id
from domain.people.requests import EXPIRING
from persistence.db import sql
from persistence.db.database import to_json
from persistence.db.live_updates import WAKE_CHANNEL
from persistence.db.raw_connection import Connected, fetch_rows
from persistence.executions.input_requests import COLUMN_TYPES, make_answered_event, make_row
from persistence.executions.signals import FIRST_WAKE
from persistence.ledger.audit import INSERT_BY_ACTOR, Actor
from persistence.tables.sessions import InputRequestRow

_COLUMNS = ", ".join(f"answered.{name}" for name in COLUMN_TYPES)

_ANSWER = text(f"""{sql.load("executions/step_log.sql")["append_answer"].text},
audited AS (
    {INSERT_BY_ACTOR}, user_id, 'input_request.answer', 'input_request', id, CAST(:audited AS json)
    FROM answered
)
SELECT {_COLUMNS}, answered.workflow_id,
    pg_notify(:wake_channel, CAST(answered.execution_id AS text)) AS woken
FROM answered
""").columns(**COLUMN_TYPES)  # noqa: S608 - our own names


async def answer(
    on: Connected,
    row: InputRequestRow,
    given: Mapping[str, Any],
    *,
    by: UUID,
    actor: Actor,
    after: Mapping[str, Any],
) -> tuple[InputRequestRow, str] | None:
    """Store the answer of a user, with its audit row; returns the request and the workflow's id.

    None: nothing is written. The request is closed or due, it is assigned to others than in `row`,
    or its execution has ended.
    """
    event = make_answered_event(row, given)
    parameters = {
        **actor.parameters(),
        "input_request_id": row.id,
        "execution_id": row.execution_id,
        "assignee": row.assignee,
        "answer": to_json(dict(given)),
        "answered_by": by,
        "answered_at": datetime.now(UTC),
        "expiring": list(EXPIRING),
        "event_type": event.type,
        "event_data": to_json(event.data),
        "signal_id": new_id(),
        "payload": to_json({"input_request_id": str(row.id)}),
        "relay_after": FIRST_WAKE,
        "audited": to_json(dict(after)),
        "wake_channel": WAKE_CHANNEL,
    }
    found = await fetch_rows(on, _ANSWER, parameters)
    return (make_row(found[0]), found[0].workflow_id) if found else None
