"""The two steps before the loop: an execution's session, and its first message.

Each is one statement on the way that nearly every execution goes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.ids import new_id
from domain.states import ExecutionStatus
from domain.text import clean
from persistence.db.database import Database
from persistence.executions import fencing, signals
from persistence.sessions import lineage

START = text("""
WITH mine AS (
    UPDATE executions SET
        status = 'running', started_at = now(), event_seq = event_seq + 1,
        session_id = coalesce(session_id, :new_session_id),
        first_run_id = coalesce(first_run_id, :run_id), run_id = :run_id, attempt = :attempt,
        run_epochs = jsonb_build_object(CAST(:run_id AS text), 0)
    WHERE id = :execution_id AND workflow_id = :workflow_id
        AND status = 'pending' AND run_epochs = '{}'
    RETURNING id, user_id, session_id, title, trigger_type, agent_id, event_seq
),
opened AS (
    INSERT INTO sessions (id, user_id, name, agent_id, is_interactive)
    SELECT session_id, user_id, 'Task: ' || title || ' (' || trigger_type || ')', agent_id, false
    FROM mine WHERE session_id = :new_session_id
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'execution.started', '{}' FROM mine
),
heard AS (
    UPDATE signals SET consumed_at = now() FROM mine
    WHERE signals.execution_id = mine.id AND signals.kind = 'start' AND consumed_at IS NULL
)
SELECT id FROM mine
""")
"""Begins an execution that nobody has begun; no row where somebody has."""


async def create_session(database: Database, execution_id: UUID, run: fencing.RunIdentity) -> bool:
    """Mark the execution running and give it a session. False: it has ended, do nothing."""
    parameters = {
        "execution_id": execution_id,
        "workflow_id": run.workflow_id,
        "run_id": run.run_id,
        "attempt": run.attempt,
        "new_session_id": new_id(),
    }
    if await database.raw.run(START, parameters) is not None:
        return True
    async with database.transaction() as session:
        row = await fencing.locked_for(session, execution_id, run)
        is_known = run.run_id in row.run_epochs
        if ExecutionStatus(row.status).is_terminal and (is_known or not run.is_reset):
            return False
        await fencing.admit(session, row, run)
        await signals.consume_start(session, row.id)
        return True


PROMPT_SOURCE = text("""
SELECT coalesce(e.definition, v.definition) AS definition, e.prompt_variables,
    e.agent_id, a.system_prompt AS agent_prompt, a.model AS agent_model,
    e.prefix_sha256 IS NOT NULL AS is_pinned, e.rendered_prompt AS said,
    e.session_id, s.forked_from_session_id IS NOT NULL AS is_fork,
    (
        SELECT p.body FROM executions f JOIN prefixes p ON p.sha256 = f.prefix_sha256
        WHERE f.id = e.forked_from_id
    ) AS forked_prefix,
    (
        SELECT CAST(p.body AS json) ->> 'model'
        FROM executions d JOIN prefixes p ON p.sha256 = d.prefix_sha256
        WHERE d.id = e.parent_execution_id AND e.parent_tool_call_id IS NOT NULL
    ) AS delegating_model,
    (SELECT min(m.seq) FROM messages m WHERE m.execution_id = e.id) AS written_seq,
    last.seq AS last_seq, CASE last.role WHEN 'assistant' THEN last.content END AS last_answer
FROM executions e
LEFT JOIN task_versions v ON v.task_id = e.task_id AND v.version = e.task_version
LEFT JOIN agents a ON a.user_id = e.user_id AND a.slug = e.agent_id
LEFT JOIN sessions s ON s.id = e.session_id
LEFT JOIN LATERAL (
    SELECT seq, role, content FROM messages
    WHERE session_id = e.session_id AND superseded_at IS NULL
    ORDER BY seq DESC LIMIT 1
) AS last ON true
WHERE e.id = :execution_id
""")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """What a prompt is made from. `written_seq` is the first message, once there is one.

    `is_pinned`: that was done before. `said` is said in place of the definition's prompt, of a fork
    that goes on without a word the empty text. `forked_prefix` is what its origin pinned.
    `last_answer` holds the blocks of the session's last message where that is the model's.
    `agent_prompt` and `agent_model` are those of the user's own agent `agent_id`, if there is one.
    `delegating_model`: what the parent of a subtask runs on.
    """

    definition: Mapping[str, Any]
    variables: Mapping[str, Any]
    written_seq: int | None
    last_seq: int
    last_answer: Sequence[Mapping[str, Any]]
    is_pinned: bool = False
    said: str | None = None
    forked_prefix: str | None = None
    agent_id: str | None = None
    agent_prompt: str | None = None
    agent_model: str | None = None
    delegating_model: str | None = None


async def prompt_source(database: Database, execution_id: UUID) -> PromptSource:
    """Read it. Raises `LookupError` where there is no such execution."""
    found = await database.raw.run(PROMPT_SOURCE, {"execution_id": execution_id})
    if found is None:
        raise LookupError(f"no execution {execution_id}")
    if found.last_seq is None and found.is_fork:
        shared = await lineage.last(database, found.session_id)
        if shared is not None:
            found.last_seq = shared.seq
            found.last_answer = shared.content if shared.role == "assistant" else None
    return PromptSource(
        definition=found.definition,
        variables=found.prompt_variables,
        written_seq=found.written_seq,
        last_seq=found.last_seq or 0,
        last_answer=json.loads(found.last_answer) if found.last_answer else (),
        is_pinned=found.is_pinned,
        said=found.said,
        forked_prefix=found.forked_prefix,
        agent_id=found.agent_id,
        agent_prompt=found.agent_prompt,
        agent_model=found.agent_model,
        delegating_model=found.delegating_model,
    )


WRITE_PROMPT = text("""
WITH mine AS (
    UPDATE executions SET
        prefix_sha256 = :prefix_sha256, rendered_prompt = :rendered,
        missing_variables = :missing, total_messages = total_messages + 1,
        event_seq = event_seq + 1
    WHERE id = :execution_id AND prefix_sha256 IS NULL
    RETURNING id, session_id, event_seq
),
pinned AS (
    INSERT INTO prefixes (sha256, body) SELECT :prefix_sha256, :prefix FROM mine
    ON CONFLICT (sha256) DO NOTHING
),
said AS (
    INSERT INTO messages (id, session_id, execution_id, seq, role, content)
    SELECT :message_id, session_id, id, :seq, 'user', :content FROM mine
),
told AS (
    INSERT INTO execution_events (execution_id, seq, type, data)
    SELECT id, event_seq, 'message.appended',
        json_build_object('seq', CAST(:seq AS int), 'role', 'user')
    FROM mine
)
SELECT id FROM mine
""")
"""Writes the first message and pins the prefix, once; no row where that was done before."""


PIN_PREFIX = text("""
WITH mine AS (
    UPDATE executions SET prefix_sha256 = :prefix_sha256
    WHERE id = :execution_id AND prefix_sha256 IS NULL
    RETURNING id
)
INSERT INTO prefixes (sha256, body) SELECT :prefix_sha256, :prefix FROM mine
ON CONFLICT (sha256) DO NOTHING
""")
"""Pins the prefix where there is nothing to say."""


async def write_prompt(
    database: Database,
    execution_id: UUID,
    *,
    seq: int,
    content: str | None,
    rendered: str,
    missing: Sequence[str],
    prefix: str,
    prefix_sha256: bytes,
) -> None:
    """Write the user message that carries the prompt, unless a try that was given up has.

    Without content only the prefix is pinned: a fork that goes on where it was shared.
    """
    parameters = {
        "execution_id": execution_id,
        "message_id": new_id(),
        "seq": seq,
        "content": content,
        "rendered": clean(rendered),
        "missing": json.dumps(list(missing)),
        "prefix": prefix,
        "prefix_sha256": prefix_sha256,
    }
    if content is None:
        pinned = ("execution_id", "prefix", "prefix_sha256")
        await database.raw.run(PIN_PREFIX, {name: parameters[name] for name in pinned})
    else:
        await database.raw.run(WRITE_PROMPT, parameters)
