"""A database that has seen much: a million executions in a year, and what goes with them."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from persistence.db.database import sqlalchemy_url

TASKS = 200
USERS = 20
BUSY_SHARE = 8
"""Of ten executions, those of the first user."""

_ID = """CAST(lpad(to_hex(floor(extract(epoch FROM {at}) * 1000)::bigint), 12, '0')
    || '7' || lpad(to_hex({n} % 4096), 3, '0') || '8' || lpad(to_hex({n}), 15, '0') AS uuid)"""
"""A UUIDv7 of this time; `n` keeps two of one millisecond apart."""


def _id(at: str, n: str = "n") -> str:
    return _ID.format(at=at, n=n)


_AT = "now() - interval '365 days' * (1 - n / CAST(:count AS float8)) - interval '2 hours'"
_EXECUTIONS = f"""
INSERT INTO executions (id, user_id, task_id, task_version, title, agent_id, executor, tags,
    trigger_type, trigger_metadata, prompt_variables, missing_variables, rendered_prompt, status,
    error_code, result_data, summary, priority, workflow_id, first_run_id, run_id, created_at,
    started_at, completed_at, depth, session_id, parent_execution_id, input_tokens, output_tokens,
    cost_usd, running_ms, total_turns, total_messages)
SELECT id, user_id, task_id, 1, 'task ' || t, CASE n % 3 WHEN 0 THEN 'agent-' || n % 7 END,
    'claude', CASE WHEN t % 4 = 0 THEN ARRAY['tag-' || t % 16] ELSE '{{}}' END,
    (ARRAY['manual', 'api', 'scheduled', 'webhook', 'subtask'])[1 + n % 5], '{{}}',
    '{{"name": "value"}}', '[]', repeat('Say hello to somebody. ', 6),
    status, CASE status WHEN 'failed' THEN 'model_error' END,
    '{{"text": "hello"}}', 'hello', 5, 'execution-' || id, 'run-' || n, 'run-' || n, at, at,
    CASE WHEN status IN ('completed', 'failed', 'cancelled') THEN at + interval '1 minute' END,
    0, NULL, NULL, 900, 90, 0.0123, 4200, 4, 9
FROM (
    SELECT n, {_AT} AS at, {_id(_AT)} AS id, n % {TASKS} AS t,
        CASE WHEN n % 10 < {BUSY_SHARE} THEN 1 ELSE 2 + n % ({USERS} - 1) END AS u,
        CASE WHEN n > :count - 200 THEN 'running' WHEN n % 1000 = 7 THEN 'blocked'
            WHEN n % 50 = 3 THEN 'cancelled' WHEN n % 10 = 1 THEN 'failed'
            ELSE 'completed' END AS status
    FROM generate_series(1, :count) AS n
) AS made
JOIN (SELECT id AS user_id, row_number() OVER (ORDER BY id) AS u FROM users
    WHERE subject LIKE 'many-%') AS owner USING (u)
JOIN (SELECT id AS task_id, row_number() OVER (ORDER BY id) - 1 AS t FROM tasks
    WHERE name LIKE 'many %') AS task USING (t)
"""  # noqa: S608 - ours

_USERS = f"""
INSERT INTO users (id, subject, role, created_at)
SELECT {_id("now()")}, 'many-' || n, 'user', now() FROM generate_series(1, {USERS}) AS n
"""  # noqa: S608 - ours

_TASKS = f"""
INSERT INTO tasks (id, user_id, name, tags, version, is_public, is_active, is_scheduled,
    schedule_timezone, schedule_enabled, schedule_overlap_policy, entered_tools)
SELECT {_id("now()")}, u.id, 'many ' || n,
    CASE WHEN n % 4 = 0 THEN ARRAY['tag-' || n % 16] ELSE '{{}}' END, 1, n % 10 = 0, true,
    n % 5 = 0, 'UTC', false, 'skip', '[]'
FROM generate_series(1, {TASKS}) AS n
JOIN users u ON u.subject = 'many-' || (CASE WHEN n % 2 = 0 THEN 1 ELSE 2 + n % 19 END)
"""  # noqa: S608 - ours

_VERSIONS = """
INSERT INTO task_versions (task_id, version, definition, created_by)
SELECT id, 1, '{"prompt_template": "hello", "allowed_tools": [], "sdk_options": {}}', user_id
FROM tasks WHERE name LIKE 'many %'
"""

_TAGS = """
INSERT INTO execution_tags (user_id, tag, execution_id)
SELECT user_id, unnest(tags), id FROM executions WHERE rendered_prompt IS NOT NULL
"""

_TENTH = "(SELECT *, row_number() OVER (ORDER BY id) AS n FROM executions) AS e WHERE n % 10 = 0"

_SESSIONS = f"""
INSERT INTO sessions (id, user_id, name, is_interactive, agent_id, created_at)
SELECT id, user_id, title, n % 30 = 0, agent_id, created_at FROM {_TENTH}
"""  # noqa: S608 - ours

_REPORTS = f"""
INSERT INTO reports (id, user_id, execution_id, title, format, content, created_at, task_id)
SELECT id, user_id, id, title, 'html', '{{}}', created_at, task_id FROM {_TENTH}
"""  # noqa: S608 - ours

_REQUESTS = f"""
INSERT INTO input_requests (id, execution_id, user_id, kind, title, status, on_expiry, created_at,
    assignee, answered_at)
SELECT id, id, user_id, CASE WHEN n % 20 = 0 THEN 'approval' ELSE 'question' END, 'Which colour?',
    CASE WHEN n % 500 = 0 THEN 'open' ELSE 'answered' END, 'wait', created_at,
    CASE WHEN n % 40 = 0 THEN 'many-2' END, created_at + interval '20 seconds'
FROM {_TENTH}
"""  # noqa: S608 - ours

_AUDIT = """
INSERT INTO audit_log
    (id, actor_id, owner_id, action, entity_type, entity_id, request_id, after, at)
SELECT id, user_id, user_id, 'task.execute', 'execution', id, 'r', '{}', created_at FROM executions
"""

STATEMENTS = (
    _USERS, _TASKS, _VERSIONS, _EXECUTIONS, _TAGS, _SESSIONS, _REPORTS, _REQUESTS, _AUDIT
)  # fmt: skip


INDEXES = text("""
SELECT indexname, indexdef FROM pg_indexes
WHERE schemaname = 'public' AND tablename = ANY(:filled)
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
""")
FILLED = ["executions", "execution_tags", "sessions", "reports", "input_requests", "audit_log"]


async def fill(session: AsyncSession, count: int) -> None:
    """Fill the tables with `count` executions; their statistics are for the caller to renew.

    Without triggers: nothing refers to what is not there, and the sealer has enough to do.
    """
    await session.execute(text("SET LOCAL session_replication_role = replica"))
    for statement in STATEMENTS:
        given = {"count": count} if ":count" in statement else {}
        await session.execute(text(statement), given)


async def _fill_before_indexing(session: AsyncSession, count: int) -> None:
    """As `fill`; an index that is made of all rows at once takes a fraction of the time."""
    indexes = (await session.execute(INDEXES, {"filled": FILLED})).all()
    for index in indexes:
        await session.execute(text(f'DROP INDEX "{index.indexname}"'))
    await fill(session, count)
    await session.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
    for index in indexes:
        await session.execute(text(index.indexdef.replace(":", "\\:")))


async def fill_at(database_url: str, count: int) -> None:
    """Fill the database of this address, however long it takes, and renew its statistics."""
    engine = create_async_engine(sqlalchemy_url(database_url))
    async with AsyncSession(engine) as session, session.begin():
        await _fill_before_indexing(session, count)
    async with engine.connect() as connection:
        by_itself = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await by_itself.execute(text("VACUUM ANALYZE"))
    await engine.dispose()
