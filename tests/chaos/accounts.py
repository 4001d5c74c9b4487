"""After the chaos: what Postgres, the model's own log, the workspaces and Temporal must say."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from contracts.names import workflow_id
from runtime.settings import Settings
from runtime.temporal import connect
from tests.chaos.jobs import Job, log_of
from tests.chaos.stack import Stack
from tests.waiting import eventually


@dataclass(frozen=True, slots=True)
class Repeats:
    """How many model calls were made again, by execution."""

    of: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of all executions."""
        return sum(self.of.values())

    @property
    def most(self) -> int:
        """Of the execution with the most."""
        return max(self.of.values(), default=0)


async def check_settled(stack: Stack, started: Mapping[str, Job]) -> Repeats:
    """Check that nothing was lost, doubled or left over; returns what was repeated."""
    await _right(stack, started)
    ids = list(started)
    await _gapless(stack, ids)
    await _totals(stack, ids)
    await _nothing_open(stack, ids)
    return await _calls_once(stack, started)


async def _right(stack: Stack, started: Mapping[str, Job]) -> None:
    rows = await stack.rows("SELECT * FROM executions WHERE id = ANY($1::uuid[])", list(started))
    assert len(rows) == len(started)
    for row in rows:
        job = started[str(row["id"])]
        assert row["status"] == "completed", (job, row["error_code"], row["error_message"])
        assert log_of(stack, row["session_id"]) == job.lines
        text = json.loads(row["result_data"])["text"]
        assert [line.split("\t")[-1] for line in text.splitlines()] == job.lines


async def _gapless(stack: Stack, ids: Sequence[str]) -> None:
    """Events count from one; the terminal one is the last and the only one."""
    assert not await stack.rows(
        "SELECT e.id FROM executions e JOIN execution_events v ON v.execution_id = e.id"
        " WHERE e.id = ANY($1::uuid[]) GROUP BY e.id"
        " HAVING min(v.seq) <> 1 OR max(v.seq) <> e.event_seq"
        "  OR count(*) <> e.event_seq"
        "  OR count(*) FILTER (WHERE v.type ~ '^execution.(completed|failed|cancelled)$') <> 1"
        "  OR max(v.seq) FILTER (WHERE v.type = 'execution.' || e.status) <> e.event_seq"
        "  OR count(*) FILTER (WHERE v.type = 'execution.started') <> 1",
        ids,
    )
    # Each message and each model call has one event.
    assert not await stack.rows(
        "SELECT execution_id FROM execution_events"
        " WHERE type IN ('message.appended', 'turn.completed') AND execution_id = ANY($1::uuid[])"
        " GROUP BY execution_id, type, data::text HAVING count(*) > 1",
        ids,
    )


async def _totals(stack: Stack, ids: Sequence[str]) -> None:
    """The execution's sums are those of its rows, and its messages count from one."""
    assert not await stack.rows(
        """
        SELECT e.id FROM executions e,
            LATERAL (SELECT count(*) AS n, max(seq) AS last FROM messages
                WHERE execution_id = e.id) m,
            LATERAL (SELECT count(*) AS n FROM tool_calls WHERE execution_id = e.id) t,
            LATERAL (SELECT count(*) FILTER (WHERE status = 'succeeded') AS turns,
                    sum(cost_usd) AS cost,
                    sum((usage ->> 'input_tokens')::bigint) AS input,
                    sum((usage ->> 'output_tokens')::bigint) AS output
                FROM model_calls WHERE execution_id = e.id) c
        WHERE e.id = ANY($1::uuid[]) AND (m.n, m.last, t.n, c.turns, c.cost, c.input, c.output)
            IS DISTINCT FROM (e.total_messages, e.total_messages, e.total_tool_calls,
                e.total_turns, e.cost_usd, e.input_tokens, e.output_tokens)
        """,
        ids,
    )


async def _nothing_open(stack: Stack, ids: Sequence[str]) -> None:
    for query in (
        "SELECT FROM input_requests WHERE status = 'open' AND execution_id = ANY($1::uuid[])",
        "SELECT FROM tool_calls WHERE completed_at IS NULL AND execution_id = ANY($1::uuid[])",
        "SELECT FROM model_calls WHERE status = 'intended' AND execution_id = ANY($1::uuid[])",
        "SELECT FROM signals WHERE consumed_at IS NULL AND execution_id = ANY($1::uuid[])",
    ):
        assert not await stack.rows(query, ids), query
    client = await connect(Settings(temporal_address=stack.up.facts()["temporal_address"]))
    workflows = ", ".join(f"'{workflow_id(UUID(execution_id))}'" for execution_id in ids)

    async def all_closed() -> bool:
        closed = f"ExecutionStatus = 'Completed' AND WorkflowId IN ({workflows})"
        return (await client.count_workflows(closed)).count == len(ids)

    await eventually(all_closed, what="the end of every workflow")


async def _calls_once(stack: Stack, started: Mapping[str, Job]) -> Repeats:
    """Of each turn one call is on record, the last one; all requests for it were the same bytes."""
    rows = await stack.rows(
        "SELECT c.*, (SELECT m.content FROM messages m WHERE m.execution_id = c.execution_id"
        " ORDER BY m.seq LIMIT 1) AS prompt FROM model_calls c"
        " WHERE execution_id = ANY($1::uuid[]) ORDER BY turn, try_number",
        list(started),
    )
    requests = _requests(stack, {job.prompt for job in started.values()})
    repeats: dict[str, int] = defaultdict(int)
    for (execution_id, turn), tries in _group_by_turn(rows).items():
        prompt = json.loads(tries[0]["prompt"])[0]["text"]
        sent = requests.pop((prompt, turn))
        assert [call["status"] == "succeeded" for call in tries] == [False] * (len(tries) - 1) + [
            True
        ], (execution_id, turn, [call["status"] for call in tries])
        assert len({call["request_sha256"] for call in tries}) == 1
        assert len(set(sent)) == 1, "a repeated call was not byte-identical"
        assert len(sent) <= len(tries), "a request that is not on record"
        repeats[execution_id] += len(sent) - 1
    assert not requests, "requests for turns that are not on record"
    return Repeats(repeats)


def _group_by_turn(
    rows: Sequence[asyncpg.Record],
) -> dict[tuple[str, int], list[asyncpg.Record]]:
    turns: dict[tuple[str, int], list[asyncpg.Record]] = defaultdict(list)
    for row in rows:
        turns[str(row["execution_id"]), row["turn"]].append(row)
    return turns


def _requests(stack: Stack, prompts: AbstractSet[str]) -> dict[tuple[str, int], list[bytes]]:
    """What the model was sent, by prompt and turn."""
    sent: dict[tuple[str, int], list[bytes]] = defaultdict(list)
    for raw in stack.model.requests:
        messages = json.loads(raw)["messages"]
        prompt = messages[0]["content"][0]["text"]
        turn = 1 + sum(message["role"] == "assistant" for message in messages)
        if prompt in prompts:
            sent[prompt, turn].append(raw)
    return sent
