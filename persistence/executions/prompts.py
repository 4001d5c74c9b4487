"""The first message of an execution: what it is made from, and writing it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from sqlalchemy import text

from domain.ids import new_id
from domain.text import clean
from persistence.db import sql
from persistence.db.database import Database
from persistence.sessions import lineage
from persistence.tables.columns import read_as

_SQL = sql.load("executions/step_log.sql")


def select_source(executions: str) -> str:
    """The SELECT of what a prompt is made from, for the rows of this table."""
    return f"""
SELECT coalesce(e.definition, v.definition) AS definition, e.prompt_variables,
    e.agent_id, a.system_prompt AS agent_prompt, a.model AS agent_model,
    e.prefix_sha256 IS NOT NULL AS is_pinned, e.rendered_prompt AS prompt,
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
FROM {executions} e
LEFT JOIN task_versions v ON v.task_id = e.task_id AND v.version = e.task_version
LEFT JOIN agents a ON a.user_id = e.user_id AND a.slug = e.agent_id
LEFT JOIN sessions s ON s.id = e.session_id
LEFT JOIN LATERAL (
    SELECT seq, role, content FROM messages
    WHERE session_id = e.session_id AND superseded_at IS NULL
    ORDER BY seq DESC LIMIT 1
) AS last ON true
"""  # noqa: S608 - our own names


_FIND = text(f"{select_source('executions')} WHERE e.id = :execution_id")


@dataclass(frozen=True, slots=True)
class PromptSource:
    """What a prompt is made from.

    `written_seq` is the number of the first message, if it is written; `is_pinned`: the prefix is
    stored. `prompt` replaces the definition's prompt; for a fork that continues without a new
    message it is empty. `forked_prefix` is the prefix of the forked execution. `last_answer` holds
    the blocks of the session's last message if that is the model's. `agent_prompt` and
    `agent_model` belong to the user's agent `agent_id`, if there is one. `delegating_model` is the
    model of a subtask's parent.
    """

    definition: Mapping[str, Any]
    variables: Mapping[str, Any]
    written_seq: int | None
    last_seq: int
    last_answer: Sequence[Mapping[str, Any]]
    is_pinned: bool = False
    prompt: str | None = None
    forked_prefix: str | None = None
    agent_id: str | None = None
    agent_prompt: str | None = None
    agent_model: str | None = None
    delegating_model: str | None = None


async def find_source(database: Database, execution_id: UUID) -> PromptSource:
    """What the prompt of an execution is made from.

    Raises:
        LookupError: there is no such execution.
    """
    found = await database.raw.run(_FIND, {"execution_id": execution_id})
    if found is None:
        raise LookupError(f"no execution {execution_id}")
    return await make_source(database, found)


async def make_source(database: Database, found: SimpleNamespace) -> PromptSource:
    """What a prompt is made from, of a row of `select_source`."""
    if found.last_seq is None and found.is_fork:
        shared = await lineage.find_last_message(database, found.session_id)
        if shared is not None:
            found.last_seq = shared.seq
            found.last_answer = shared.content if shared.role == "assistant" else None
    return read_as(
        PromptSource,
        found,
        variables=found.prompt_variables,
        last_seq=found.last_seq or 0,
        last_answer=json.loads(found.last_answer) if found.last_answer else (),
    )


async def write(
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
    """Write the user message with the prompt, unless an earlier attempt has.

    Without content only the prefix is pinned: a fork that continues without a new message.
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
        await database.raw.run(_SQL["pin_prefix"], {name: parameters[name] for name in pinned})
    else:
        await database.raw.run(_SQL["write_prompt"], parameters)
