import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select, text

from persistence.executions import input_requests, queries
from persistence.ledger import budgets
from persistence.tables.executions import ExecutionRow, SignalRow
from services.executions import discussions
from tests.api.test_query_plans import record_statements
from tests.api.world import APPROVAL, World, ask, execute, make_task
from tests.waiting import WITHIN_SECONDS

Client = httpx2.AsyncClient
BASE = "/api/v1/input-requests"


EMPTY: tuple[Any, ...] = (False, 0, 0.0, "", [])
RAISE = {
    "type": "object",
    "properties": {"max_budget_usd": {"type": "number"}},
    "required": ["max_budget_usd"],
}


async def execution_with_request(
    world: World, client: Client, **fields: Any
) -> tuple[dict[str, Any], str]:
    """An execution and the path of its open request."""
    execution = await execute(client, await make_task(client))
    return execution, f"{BASE}/{await ask(world, execution, **fields)}"


async def test_requests_are_read_and_listed(world: World, client: Client, other: Client) -> None:
    execution, path = await execution_with_request(world, client, **APPROVAL)
    request = (await client.get(path)).json()
    assert request["tool_call"] == {
        "name": "bash",
        "input": {"command": "git push"},
        "input_sha256": bytes(range(32)).hex(),
        "input_schema": APPROVAL["tool_input_schema"],
        "suggested_pattern": "bash(git push *)",
    }
    assert (request["kind"], request["status"], request["answer"]) == ("approval", "open", None)
    assert "schema" in request
    listed = await client.get(execution["_links"]["input_requests"])
    assert listed.json()["items"] == [{**request, "changes": None}]
    assert (await client.get(f"{BASE}?status=open&kind=approval")).json()["total"] >= 1
    assert (await client.get(f"{BASE}?status=expired")).json()["total"] == 0
    assert (await other.get(path)).status_code == 403
    assert (await other.post(f"{path}/answer", json={"decision": "deny"})).status_code == 403


async def test_an_answer_is_stored_signalled_and_final(world: World, client: Client) -> None:
    execution, path = await execution_with_request(world, client, **APPROVAL)
    answer = {"decision": "approve", "message": "Continue."}
    response = await client.post(f"{path}/answer", json=answer)
    assert response.status_code == 200
    request = response.json()
    assert (request["status"], request["answer"]) == ("answered", answer)
    assert request["answered_by"] == execution["user_id"]
    assert "answer" not in request["_links"]
    async with world.gateway.database.reading() as session:
        rows = await session.scalars(
            select(SignalRow)
            .where(SignalRow.execution_id == UUID(execution["id"]))
            .order_by(SignalRow.id)
        )
        sent = [(row.kind, row.payload) for row in rows]
    assert sent[1] == ("answer", {"input_request_id": request["id"]})
    events = (await client.get(execution["_links"]["events"])).json()["items"]
    assert events[-1]["type"] == "input.answered"
    again = await client.post(f"{path}/answer", json=answer)
    assert (again.status_code, again.json()["code"]) == (409, "already_answered")


async def test_an_answer_raises_the_budget(world: World, client: Client) -> None:
    execution, path = await execution_with_request(world, client, kind="budget", schema=RAISE)
    async with world.gateway.database.transaction() as session:
        short = await budgets.reserve(session, UUID(execution["id"]), Decimal("0.3"))
    assert short is not None
    missing = await client.post(f"{path}/answer", json={"decision": "approve"})
    assert missing.status_code == 422
    answer = {"decision": "approve", "values": {"max_budget_usd": 1.5}}
    assert (await client.post(f"{path}/answer", json=answer)).status_code == 200
    raised = (await client.get(execution["_links"]["self"])).json()
    assert (execution["budget_usd"], raised["budget_usd"]) == (0.25, 1.5)
    async with world.gateway.database.transaction() as session:
        assert await budgets.reserve(session, UUID(execution["id"]), Decimal("0.3")) is None
    query = f"entity_type=execution&entity_id={execution['id']}&action=execution.raise_budget"
    [entry] = (await client.get(f"/api/v1/audit-logs?{query}")).json()["items"]
    assert entry["after"] == {"budget_usd": 1.5, "input_request_id": path.rpartition("/")[2]}


async def test_an_answer_that_changes_nothing_else_needs_no_session(
    world: World, client: Client
) -> None:
    _, path = await execution_with_request(world, client, **APPROVAL)
    with record_statements(world.gateway) as statements:
        answered = await client.post(f"{path}/answer", json={"decision": "approve"})
    assert answered.json()["status"] == "answered"
    assert not statements


async def test_of_two_answers_one_counts(world: World, client: Client) -> None:
    _, path = await execution_with_request(world, client, **APPROVAL)
    answers = await asyncio.gather(
        *(client.post(f"{path}/answer", json={"decision": "approve"}) for _ in range(5))
    )
    assert sorted(a.status_code for a in answers) == [200, 409, 409, 409, 409]


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        (APPROVAL, {"decision": "deny"}),
        (APPROVAL, {"decision": "edit", "input": {"command": "git status"}}),
        (APPROVAL, {"decision": "approve", "input_sha256": bytes(range(32)).hex()}),
        ({}, {"message": "Blue."}),
        ({}, {"values": {"answer": "Blue"}}),
        *(({}, {"values": {"answer": empty}}) for empty in EMPTY),
        *(({}, {"values": empty}) for empty in EMPTY),
        (APPROVAL, {"decision": "approve", "remember": "once"}),
        ({}, {"decision": "deny"}),
        ({"options": ["red", "blue"]}, {"values": "blue"}),
        ({"options": ["red", "blue"]}, {"decision": "approve", "values": {"answer": "blue"}}),
        ({"options": ["red", "blue"]}, {"message": "Neither."}),
        ({"options": [{"label": "Red", "value": 1}]}, {"values": 1}),
        ({"kind": "form", "schema": {"required": ["n"]}}, {"values": {"n": 1}}),
        ({"kind": "effect_check"}, {"decision": "happened", "message": "Sent, as I saw."}),
        ({"kind": "effect_check"}, {"decision": "not_happened"}),
        ({"kind": "effect_check"}, {"decision": "skip"}),
        ({"kind": "budget"}, {"decision": "finish"}),
        ({"kind": "budget"}, {"decision": "deny", "message": "Enough."}),
    ],
)
async def test_answers_that_fit(
    world: World, client: Client, fields: dict[str, Any], answer: dict[str, Any]
) -> None:
    _, path = await execution_with_request(world, client, **fields)
    response = await client.post(f"{path}/answer", json=answer)
    assert response.status_code == 200, response.text
    stored = response.json()["answer"]
    expected = {k: v for k, v in answer.items() if k not in {"input_sha256", "remember"}}
    assert stored == {"decision": "approve", **expected}


@pytest.mark.parametrize(
    ("fields", "answer", "field"),
    [
        (APPROVAL, {}, "decision"),
        (APPROVAL, {"decision": "yes"}, "decision"),
        (APPROVAL, {"decision": "edit"}, "input"),
        (APPROVAL, {"decision": "edit", "input": "rm"}, "input"),
        (APPROVAL, {"decision": "edit", "input": {"command": 1}}, "input"),
        (APPROVAL, {"decision": "edit", "input": {"command": "ls", "as": "root"}}, "input"),
        (APPROVAL, {"decision": "approve", "input": {}}, "input"),
        (APPROVAL, {"decision": "approve", "input_sha256": "x"}, "input_sha256"),
        ({}, {}, "values"),
        ({}, {"decision": "approve"}, "values"),
        ({}, {"values": {}}, "values"),
        ({}, {"values": {"answer": None}}, "values"),
        ({}, {"values": None, "message": ""}, "values"),
        ({}, {"decision": "happened", "message": "x"}, "decision"),
        ({"options": ["0", "false"]}, {"values": 0}, "values"),
        ({"options": [{"label": "No", "value": False}]}, {"values": 0}, "values"),
        (APPROVAL, {"decision": "skip"}, "decision"),
        (APPROVAL, {"decision": "finish"}, "decision"),
        ({"kind": "effect_check"}, {}, "decision"),
        ({"kind": "effect_check"}, {"decision": "approve"}, "decision"),
        ({"kind": "effect_check"}, {"decision": "deny"}, "decision"),
        ({"kind": "effect_check"}, {"decision": "skip", "input": {}}, "input"),
        ({"kind": "budget"}, {"decision": "happened"}, "decision"),
        ({"kind": "budget", "schema": RAISE}, {"decision": "approve"}, "values"),
        (APPROVAL, {"decision": "approve", "remember": "execution"}, "remember"),
        (APPROVAL, {"decision": "deny", "remember": "task"}, "remember"),
        ({}, {"decision": "edit", "values": 1}, "decision"),
        ({"options": ["red"]}, {"values": "green"}, "values"),
        ({"kind": "form", "schema": {"required": ["n"]}}, {"values": {}}, "values"),
        ({"kind": "form", "schema": {"type": "object"}}, {"message": "x"}, "values"),
        ({"kind": "budget"}, {"decision": "edit", "input": {}}, "decision"),
        (APPROVAL, {"decision": "approve", "unknown": 1}, "unknown"),
    ],
)
async def test_answers_that_do_not_fit(
    world: World, client: Client, fields: dict[str, Any], answer: dict[str, Any], field: str
) -> None:
    _, path = await execution_with_request(world, client, **fields)
    response = await client.post(f"{path}/answer", json=answer)
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["loc"][:2] == ["body", field]
    assert (await client.get(path)).json()["status"] == "open"


@pytest.mark.parametrize(
    ("command", "is_allowed"), [("git status", True), ("rm -r y", False), ("true; rm x", False)]
)
async def test_an_edit_keeps_to_what_the_task_forbids(
    world: World, client: Client, *, command: str, is_allowed: bool
) -> None:
    task = await make_task(client, ask_tools=["bash"], disallowed_tools=["bash(rm *)"])
    path = f"{BASE}/{await ask(world, await execute(client, task), **APPROVAL)}"
    answer = {"decision": "edit", "input": {"command": command}}
    response = await client.post(f"{path}/answer", json=answer)
    assert response.status_code == (200 if is_allowed else 422)
    if not is_allowed:
        [error] = response.json()["errors"]
        assert error["loc"] == ["body", "input"]
        assert "bash(rm *)" in error["msg"]
        assert (await client.get(path)).json()["status"] == "open"


async def test_an_approval_is_bound_to_its_input(world: World, client: Client) -> None:
    _, path = await execution_with_request(world, client, **APPROVAL)
    answer = {"decision": "approve", "input_sha256": "0" * 64}
    response = await client.post(f"{path}/answer", json=answer)
    assert (response.status_code, response.json()["code"]) == (409, "input_changed")


async def test_what_is_past_due_or_over_takes_no_answer(world: World, client: Client) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    _, due = await execution_with_request(world, client, due_at=past, on_expiry="fail")
    response = await client.post(f"{due}/answer", json={"message": "late"})
    assert (response.status_code, response.json()["code"]) == (409, "already_answered")
    _, patient = await execution_with_request(world, client, due_at=past, on_expiry="wait")
    assert (await client.post(f"{patient}/answer", json={"message": "late"})).status_code == 200
    execution, path = await execution_with_request(world, client)
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.status, row.completed_at = "failed", past
    assert (await client.post(f"{path}/answer", json={"message": "late"})).status_code == 409


async def test_a_repeated_answer_with_its_key_is_the_same(world: World, client: Client) -> None:
    _, path = await execution_with_request(world, client)
    key = {"Idempotency-Key": "once"}
    first = await client.post(f"{path}/answer", json={"message": "Blue."}, headers=key)
    again = await client.post(f"{path}/answer", json={"message": "Blue."}, headers=key)
    assert (again.status_code, again.content) == (200, first.content)


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("answer", {"message": "late"}),
        ("comments", {"body": "late"}),
        ("assign", {"assignee": "boss"}),
    ],
)
async def test_rights_that_end_during_a_request_are_refused(
    world: World, client: Client, verb: str, body: dict[str, Any]
) -> None:
    execution, path = await execution_with_request(world, client, assignee="boss")
    database, key = world.gateway.database, UUID(path.rpartition("/")[2])
    waiting = text(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
        "AND datname = current_database()"
    )
    async with world.client("boss") as boss, asyncio.timeout(WITHIN_SECONDS):
        async with database.transaction() as session:
            await queries.lock_existing(session, UUID(execution["id"]))
            row = await input_requests.lock(session, key)
            late = asyncio.create_task(boss.post(f"{path}/{verb}", json=body))
            while True:
                async with database.reading() as other:
                    if await other.scalar(waiting):
                        break
            row.assignee = "deputy"
        refused = await late
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    stored = (await client.get(path)).json()
    assert (stored["status"], stored["comments"], stored["assignee"]) == ("open", [], "deputy")


async def test_comments_are_kept_in_order_with_their_authors(world: World, client: Client) -> None:
    _, path = await execution_with_request(world, client, assignee="boss")
    async with world.client("boss") as boss, world.client("bob") as other:
        for author, body in ((client, "Which one?\nThe old?"), (boss, "The new one. \U0001f642")):
            made = await author.post(f"{path}/comments", json={"body": body})
            assert made.status_code == 201, made.text
        assert (await other.post(f"{path}/comments", json={"body": "x"})).status_code == 403
        assert (await boss.post(f"{path}/comments", json={"body": ""})).status_code == 422
        await client.post(f"{path}/answer", json={"message": "Blue."})
        await boss.post(f"{path}/comments", json={"body": "Good."})
    comments = (await client.get(path)).json()["comments"]
    assert [(c["author"], c["body"]) for c in comments] == [
        ("alice", "Which one?\nThe old?"),
        ("boss", "The new one. \U0001f642"),
        ("boss", "Good."),
    ]
    assert all(c["created_at"].endswith("Z") for c in comments)


async def test_comments_at_the_same_time_are_all_kept_up_to_a_limit(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discussions, "MOST_COMMENTS", 6)
    _, path = await execution_with_request(world, client)
    made = await asyncio.gather(
        *(client.post(f"{path}/comments", json={"body": str(n)}) for n in range(8))
    )
    assert sorted(response.status_code for response in made) == [*[201] * 6, 409, 409]
    assert len({c["body"] for c in (await client.get(path)).json()["comments"]}) == 6
