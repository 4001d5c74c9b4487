"""Groups, claims, mentions, reminders, escalations and several approvals of input requests."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.ids import new_id
from domain.people.requests import make_reminder
from persistence.tables.sessions import InputRequestRow, ToolCallRow
from services.executions import due_requests, holding, reminding
from tests.api.world import APPROVAL, TASK, World, ask, execute, make_task

Client = httpx2.AsyncClient
BASE = "/api/v1/input-requests"


async def make_group(world: World, *members: str, **fields: Any) -> str:
    """A new group; how a request is assigned to it."""
    name = f"g{new_id().hex}"
    async with world.client("boss", role="admin") as admin:
        body = {"name": name, "members": members, **fields}
        made = await admin.post("/api/v1/groups", json=body)
        assert made.status_code == 201, made.text
    return f"group:{name}"


async def path_of_request(world: World, client: Client, **fields: Any) -> str:
    return f"{BASE}/{await ask(world, await execute(client, await make_task(client)), **fields)}"


async def test_a_member_of_a_group_answers_claims_and_delegates(world: World) -> None:
    async with (
        world.client("starter") as starter,
        world.client("ann") as ann,
        world.client("ben") as ben,
    ):
        for member in (ann, ben):
            await member.get("/api/v1/me")
        group = await make_group(world, "ann", "ben")
        path = await path_of_request(world, starter)
        assert (await ann.get(path)).status_code == 403
        unknown = await starter.post(f"{path}/assign", json={"assignee": "group:none"})
        assert unknown.json()["errors"][0]["loc"] == ["body", "assignee"]
        assigned = await starter.post(f"{path}/assign", json={"assignee": group})
        assert assigned.json()["assignee"] == group
        listed = (await ann.get(f"{BASE}?status=open")).json()["items"]
        assert path in [item["_links"]["self"] for item in listed]
        claimed = (await ann.post(f"{path}/claim")).json()
        assert claimed["claimed_by"] == "ann"
        taken = await ben.post(f"{path}/claim")
        assert (taken.status_code, taken.json()["code"]) == (409, "conflict")
        assert (await ben.post(f"{path}/release")).status_code == 409
        assert (await ann.post(f"{path}/assign", json={"assignee": "ben"})).status_code == 200
        assert (await ann.get(path)).status_code == 403
        seen = (await ben.get(path)).json()
        assert (seen["assignee"], seen["claimed_by"]) == ("ben", None)
        assert (await ben.post(f"{path}/answer", json={"message": "Blue."})).status_code == 200


async def test_groups_belong_to_admins_and_stay_while_requests_need_them(
    world: World, client: Client, other: Client
) -> None:
    me = (await client.get("/api/v1/me")).json()["subject"]
    group = await make_group(world, me, me)
    name = group.removeprefix("group:")
    listed = (await other.get("/api/v1/groups?page_size=100")).json()["items"]
    [found] = [item for item in listed if item["name"] == name]
    assert found["members"] == [me]
    link = found["_links"]["self"]
    for refused in (
        await client.post("/api/v1/groups", json={"name": "legal"}),
        await client.patch(link, json={"members": []}),
        await client.delete(link),
    ):
        assert refused.status_code == 403
    path = await path_of_request(world, other, assignee=group)
    async with world.client("boss", role="admin") as admin:
        doubled = await admin.post("/api/v1/groups", json={"name": name})
        assert (doubled.status_code, doubled.json()["code"]) == (409, "duplicate_name")
        hours = {"time_zone": "Mars/Base", "days": ["mon"], "start": "09:00", "end": "17:00"}
        bad = await admin.patch(link, json={"working_hours": hours})
        assert bad.json()["errors"][0]["loc"] == ["body", "working_hours", "time_zone"]
        short = {**hours, "time_zone": "UTC", "end": "09:59"}
        bad = await admin.patch(link, json={"working_hours": short})
        assert bad.json()["errors"][0]["loc"] == ["body", "working_hours"]
        assert (await client.get(path)).status_code == 200
        assert (await admin.delete(link)).status_code == 409
        assert (await admin.patch(link, json={"members": []})).status_code == 200
        assert (await client.get(path)).status_code == 403
        assert (await other.post(f"{path}/assign", json={"assignee": None})).status_code == 200
        escalation = {"to": group, "due_seconds": 60.0, "on_expiry": "deny"}
        waiting = await path_of_request(world, other, on_expiry="escalate", escalation=escalation)
        assert "escalated to it" in (await admin.delete(link)).json()["detail"]
        assert (await other.post(f"{waiting}/answer", json={"message": "Blue."})).status_code == 200
        policy = {"on_expiry": "escalate", "due_seconds": 60, "escalate_to": group}
        task = await make_task(other, human_input_policy=policy)
        named = (await admin.delete(link)).json()
        assert task["id"] in named["detail"], named
        await other.delete(task["_links"]["self"])
        assert (await admin.delete(link)).status_code == 204


async def test_who_is_mentioned_reads_and_comments(
    world: World, client: Client, other: Client
) -> None:
    name = (await other.get("/api/v1/me")).json()["subject"]
    path = await path_of_request(world, client)
    body = {"body": f"What do you think, @{name}, @nobody-known? mail@{name}"}
    comment = (await client.post(f"{path}/comments", json=body)).json()["comments"][0]
    assert comment["mentions"] == [name]
    assert (await other.get(path)).status_code == 200
    assert (await other.post(f"{path}/comments", json={"body": "Blue."})).status_code == 201
    assert (await other.post(f"{path}/answer", json={"message": "Blue."})).status_code == 403
    found = (await other.get(f"{BASE}?is_mentioned=true")).json()["items"]
    assert path in [item["_links"]["self"] for item in found]
    events = (await client.get(f"/api/v1/task-executions/{found[0]['execution_id']}/events")).json()
    assert events["items"][-1]["type"] == "input.mentioned"


async def test_several_people_must_approve(world: World) -> None:
    async with (
        world.client("starter") as starter,
        world.client("ann") as ann,
        world.client("ben") as ben,
    ):
        for member in (ann, ben):
            await member.get("/api/v1/me")
        group = await make_group(world, "ann", "ben", "starter")
        rules = {"approvals_required": 2, "starter_may_not_approve": True, "assignee": group}
        path = await path_of_request(world, starter, **APPROVAL, **rules)
        approve = {"decision": "approve"}
        refused = await starter.post(f"{path}/answer", json=approve)
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
        edit = {"decision": "edit", "input": {"command": "ls"}}
        assert (await ann.post(f"{path}/answer", json=edit)).status_code == 422
        first = (await ann.post(f"{path}/answer", json=approve)).json()
        assert (first["status"], [a["author"] for a in first["approvals"]]) == ("open", ["ann"])
        again = await ann.post(f"{path}/answer", json=approve)
        assert (again.status_code, again.json()["code"]) == (409, "already_answered")
        second = (await ben.post(f"{path}/answer", json=approve)).json()
        assert (second["status"], second["answer"]) == ("answered", approve)
        other = await path_of_request(world, starter, **APPROVAL, **rules)
        denied = (await starter.post(f"{other}/answer", json={"decision": "deny"})).json()
        assert denied["status"] == "answered"


@pytest.mark.parametrize(
    ("policy", "able"),
    [
        ({"approvals_required": 2}, None),
        ({"approvals_required": 3}, 2),
        ({"approvals_required": 2, "starter_may_not_approve": True}, 1),
    ],
)
async def test_a_start_warns_if_too_few_people_can_approve(
    world: World, policy: dict[str, Any], able: int | None
) -> None:
    async with world.client("starter") as starter:
        rules = {**policy, "assignee": await make_group(world, "ann", "starter")}
        task = await make_task(starter, human_input_policy=rules)
        started = await execute(starter, task)
        planned = (await starter.post(task["_links"]["dry_run"], json={})).json()
    for found in (started["warnings"], planned["warnings"]):
        warned = [warning for warning in found if "must approve" in warning]
        assert [f"only {able} can." in warning for warning in warned] == ([True] if able else [])


async def test_policies_that_no_request_could_satisfy_are_refused(client: Client) -> None:
    for policy, field in (
        ({"on_expiry": "escalate", "due_seconds": 60}, "escalate_to"),
        ({"on_expiry": "escalate", "escalate_to": "ann"}, "due_seconds"),
        ({"escalate_to": "ann"}, "escalate_to"),
        ({"assignee": "group:unknown"}, "assignee"),
        ({"approvals_required": 2, "assignee": "ann"}, "assignee"),
        ({"starter_may_not_approve": True}, "assignee"),
        (
            {
                "on_expiry": "escalate",
                "due_seconds": 60,
                "escalate_to": "ann",
                "on_escalation_expiry": "default",
            },
            "default_answer",
        ),
    ):
        body = {**TASK, "name": f"t {new_id()}", "human_input_policy": policy}
        refused = await client.post("/api/v1/tasks", json=body)
        assert refused.status_code == 422, policy
        assert refused.json()["errors"][0]["loc"] == ["body", "human_input_policy", field]


async def test_reminders_and_the_escalation_come_once(world: World, client: Client) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    group = await make_group(
        world,
        working_hours={
            "time_zone": "UTC",
            "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"],
            "start": "00:00",
            "end": "23:59",
        },
    )
    execution = await execute(client, await make_task(client))
    request_id = await ask(
        world,
        execution,
        due_at=now + 3 * hour,
        on_expiry="escalate",
        escalation={"to": group, "due_seconds": 60.0, "on_expiry": "deny"},
        reminders=[make_reminder(now + hour), make_reminder(now + 2 * hour)],
        next_action_at=now + hour,
        claimed_by="ann",
    )
    services = world.gateway.services

    async def act(at: datetime) -> InputRequestRow:
        await reminding.act_on_due(services.database, services.workflows, at)
        async with services.database.reading() as session:
            return await session.get_one(InputRequestRow, UUID(request_id))

    assert (await act(now)).next_action_at == now + hour
    assert (await act(now + 2 * hour)).next_action_at == now + 3 * hour
    escalated = await act(now + 3 * hour)
    assert (escalated.assignee, escalated.on_expiry, escalated.claimed_by) == (group, "deny", None)
    assert escalated.due_at is not None
    assert escalated.due_at > now + 3 * hour
    assert escalated.next_action_at is None
    await act(now + 4 * hour)
    events = (await client.get(execution["_links"]["events"])).json()["items"]
    types = [event["type"] for event in events if event["type"].startswith("input.")]
    assert types == ["input.reminded", "input.escalated"]
    entries = (await client.get(f"/api/v1/audit-logs?entity_id={request_id}")).json()["items"]
    assert [(e["action"], e["actor_id"]) for e in entries] == [("input_request.escalate", None)]


async def test_an_answer_can_be_withdrawn_until_it_takes_effect(
    world: World, client: Client, other: Client
) -> None:
    name = (await other.get("/api/v1/me")).json()["subject"]
    path = await path_of_request(world, client, **APPROVAL, assignee=name, reach_sha256=b"r")
    later = {"decision": "approve", "undo_seconds": 60, "remember": "execution"}
    held = (await client.post(f"{path}/answer", json=later)).json()
    assert held["status"] == "answered"
    assert held["effective_at"] > held["answered_at"]
    events_path = f"/api/v1/task-executions/{held['execution_id']}/events"
    for refused in (
        await other.post(f"{path}/answer", json={"decision": "deny"}),
        await other.post(f"{path}/withdraw"),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "already_answered")
    opened = (await client.post(f"{path}/withdraw")).json()
    assert (opened["status"], opened["answer"], opened["effective_at"]) == ("open", None, None)
    assert "input.answered" not in (await client.get(events_path)).text
    held = (await client.post(f"{path}/answer", json=later)).json()
    services = world.gateway.services
    await holding.apply_held(services)
    assert "input.answered" not in (await client.get(events_path)).text
    for _ in range(2):  # a second worker does nothing
        await holding.apply_held(services, datetime.fromisoformat(held["effective_at"]))
    assert (await client.get(events_path)).text.count("input.answered") == 1
    late = await client.post(f"{path}/withdraw")
    assert (late.status_code, late.json()["code"]) == (409, "already_answered")
    query = {"execution_id": held["execution_id"]}
    rules = (await client.get("/api/v1/remembered-decisions", params=query)).json()
    assert rules["total"] == 1
    budget = await path_of_request(world, client, kind="budget")
    refused = await client.post(f"{budget}/answer", json={"decision": "deny", "undo_seconds": 5})
    assert refused.json()["errors"][0]["loc"] == ["body", "undo_seconds"]


async def test_an_error_of_one_request_delays_no_other(world: World, client: Client) -> None:
    now = datetime.now(UTC)
    services = world.gateway.services
    due: dict[str, Any] = {"on_expiry": "escalate", "due_at": now, "next_action_at": now}
    plans: Any = ({}, {"to": "ann", "due_seconds": 60.0, "on_expiry": "deny"})
    broken, whole = [await path_of_request(world, client, **due, escalation=p) for p in plans]
    await reminding.act_on_due(services.database, services.workflows, now)
    assert (await client.get(whole)).json()["assignee"] == "ann"
    answer = {"decision": "approve", "undo_seconds": 1}
    held = [await path_of_request(world, client, **APPROVAL) for _ in range(2)]
    for path in held:
        assert (await client.post(f"{path}/answer", json=answer)).status_code == 200
    async with services.database.transaction() as session:
        broken_row = await session.get_one(InputRequestRow, UUID(held[0].rpartition("/")[2]))
        broken_row.held_rule = {"unknown": True}
    later = now + timedelta(seconds=30)
    await holding.apply_held(services, later)
    assert "withdraw" not in (await client.get(held[1])).json()["_links"]
    postponed = (await client.get(held[0])).json()
    assert datetime.fromisoformat(postponed["effective_at"]) == later + due_requests.POSTPONED
    async with services.database.reading() as session:
        row = await session.get_one(InputRequestRow, UUID(broken.rpartition("/")[2]))
    assert row.next_action_at == now + due_requests.POSTPONED


async def test_an_open_request_lists_the_changes(world: World, client: Client) -> None:
    task = await make_task(client)
    execution = await execute(client, task)
    path = f"{BASE}/{await ask(world, execution, **APPROVAL)}"
    nothing: dict[str, Any] = {"task_version": None, "messages": 0, "files": [], "other_calls": 0}
    assert (await client.get(path)).json()["changes"] == nothing
    await client.patch(task["_links"]["self"], json={"prompt_template": "Say goodbye."})
    sent = await client.post(f"{execution['_links']['self']}/messages", json={"content": "Wait."})
    assert sent.status_code == 202
    tool_call = {"turn": 1, "position": 0, "tool_use_id": "toolu_1", "input_sha256": b""}
    now = datetime.now(UTC)
    async with world.gateway.database.transaction() as session:
        for name in ("write_file", "bash"):
            session.add(
                ToolCallRow(
                    execution_id=UUID(execution["id"]),
                    name=name,
                    input='{"path": "a.txt"}',
                    effect="workspace",
                    status="succeeded",
                    started_at=now,
                    completed_at=now + timedelta(seconds=1),
                    **tool_call,
                )
            )
    changed = {"task_version": 2, "messages": 1, "files": ["a.txt"], "other_calls": 1}
    assert (await client.get(path)).json()["changes"] == changed


Answer = Callable[[], Awaitable[bool]]
