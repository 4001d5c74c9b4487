"""A task's schedule at the gateway, on a real Temporal."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select
from temporalio.client import ScheduleOverlapPolicy
from temporalio.service import RPCError, RPCStatusCode

from contracts import names
from domain.ids import new_id
from persistence.definitions import scheduled_runs
from persistence.definitions.scheduled_runs import Firing
from persistence.tables.definitions import ScheduleBackfillRow
from services.scheduling.scheduled_runs import SkipReason
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient
NOON = {"is_scheduled": True, "schedule_enabled": True, "schedule_cron": "0 12 * * *"}
"""Fires once a day, and not while these tests run."""


async def describe_schedule(world: World, task: dict[str, Any]) -> Any:
    """The schedule in Temporal; None where there is none."""
    handle = world.gateway.temporal.get_schedule_handle(names.schedule_id(UUID(task["id"])))
    try:
        return await handle.describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return None


async def read(client: Client, task: dict[str, Any]) -> dict[str, Any]:
    response = await client.get(task["_links"]["schedule"])
    assert response.status_code == 200, response.text
    schedule: dict[str, Any] = response.json()
    return schedule


async def test_variables_that_a_schedule_does_not_give_are_named(client: Client) -> None:
    prompt = "{{ topic }} and {{ place }} since {{ last_success_at }}"
    task = await make_task(
        client, prompt_template=prompt, default_variables={"place": "here"}, **NOON
    )
    [warning] = task["warnings"]
    assert warning.endswith("stay in the prompt: topic. Set default_variables.")
    changed = await client.patch(task["_links"]["self"], json={"is_scheduled": False})
    assert changed.json()["warnings"] == []


async def test_a_scheduled_task_has_its_schedule_at_once(world: World, client: Client) -> None:
    task = await make_task(
        client,
        **NOON,
        schedule_timezone="Europe/Berlin",
        schedule_overlap_policy="buffer_one",
        schedule_jitter_seconds=30,
        schedule_catchup_window_seconds=600,
        tags=["daily"],
    )

    found = await describe_schedule(world, task)
    assert found.schedule.spec.time_zone_name == "Europe/Berlin"
    assert found.schedule.spec.jitter == timedelta(seconds=30)
    assert found.schedule.policy.overlap is ScheduleOverlapPolicy.BUFFER_ONE
    assert found.schedule.policy.catchup_window == timedelta(minutes=10)
    assert not found.schedule.state.paused
    schedule = await read(client, task)
    assert (schedule["state"], schedule["note"]) == ("active", None)
    assert len(schedule["next_fires"]) == 10
    assert schedule["next_fires"][0] > datetime.now(UTC).strftime("%Y-%m-%dT%H")
    assert schedule["recent_fires"] == []
    assert [schedule[c] for c in ("missed_count", "skipped_count", "buffered", "running")] == [
        0
    ] * 4
    assert set(schedule["_links"]) >= {"self", "task", "pause", "resume", "trigger", "backfill"}


async def test_it_follows_the_task(world: World, client: Client) -> None:
    task = await make_task(client)
    path = task["_links"]["self"]
    assert (await read(client, task))["state"] == "none"
    refused = await client.post(f"{path}/schedule/trigger")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")

    await client.patch(path, json={"is_scheduled": True, "schedule_cron": "0 12 * * *"})
    assert (await read(client, task))["state"] == "paused"
    assert (await describe_schedule(world, task)).schedule.state.paused
    await client.patch(path, json={"schedule_enabled": True, "schedule_cron": "30 6 * * 1-5"})
    found = (await describe_schedule(world, task)).schedule
    assert found.spec.calendars[0].hour[0].start == 6
    assert not found.state.paused
    await client.patch(path, json={"is_active": False})
    assert (await describe_schedule(world, task)).schedule.state.paused
    assert "inactive" in (await read(client, task))["note"]
    await client.patch(path, json={"is_scheduled": False})
    assert await describe_schedule(world, task) is None
    await client.patch(path, json={"is_scheduled": True, "is_active": True})
    assert (await read(client, task))["state"] == "active"
    await client.delete(path)
    assert await describe_schedule(world, task) is None
    assert (await client.get(f"{path}/schedule")).status_code == 404


async def test_a_cron_expression_alone_makes_a_schedule(client: Client) -> None:
    created = await make_task(client, schedule_cron="0 12 * * *")
    assert (created["is_scheduled"], created["schedule_enabled"]) == (True, True)
    off = await make_task(client, schedule_cron="0 12 * * *", schedule_enabled=False)
    assert (off["is_scheduled"], off["schedule_enabled"]) == (False, False)

    task = await make_task(client)
    path = task["_links"]["self"]
    changed = (await client.patch(path, json={"schedule_cron": "0 12 * * *"})).json()
    assert (changed["is_scheduled"], changed["schedule_enabled"]) == (True, True)
    await client.post(f"{path}/schedule/pause")
    paused = (await client.patch(path, json={"schedule_cron": "0 13 * * *"})).json()
    assert (paused["is_scheduled"], paused["schedule_enabled"]) == (True, False)


async def test_day_of_month_or_weekday(client: Client) -> None:
    """Both together mean either, as in every cron."""
    task = await make_task(client, **{**NOON, "schedule_cron": "0 12 13 * 5"})
    days = [datetime.fromisoformat(time) for time in (await read(client, task))["next_fires"]]
    assert all(day.day == 13 or day.isoweekday() == 5 for day in days)
    assert sum(day.isoweekday() == 5 for day in days) >= 7


async def test_pause_and_resume(world: World, client: Client) -> None:
    task = await make_task(client, **NOON)
    path = task["_links"]["self"]
    for _ in range(2):
        paused = await client.post(f"{path}/schedule/pause")
        assert (paused.status_code, paused.json()["state"]) == (200, "paused")
    assert paused.json()["next_fires"] == []
    assert (await client.get(path)).json()["schedule_enabled"] is False
    assert (await describe_schedule(world, task)).schedule.state.paused
    resumed = await client.post(f"{path}/schedule/resume")
    assert resumed.json()["state"] == "active"
    assert not (await describe_schedule(world, task)).schedule.state.paused


async def test_a_pause_with_a_key_is_refused_like_one_without(client: Client) -> None:
    task = await make_task(client)
    for _ in range(2):
        response = await client.post(
            f"{task['_links']['self']}/schedule/pause", headers={"Idempotency-Key": task["id"]}
        )
        assert (response.status_code, response.json()["code"]) == (409, "conflict")


async def test_the_note_says_why_the_last_run_did_not_start(world: World, client: Client) -> None:
    task = await make_task(client, **NOON)
    firing = Firing(
        task_id=UUID(task["id"]),
        workflow_id=f"scheduled-{task['id']}-2026-11-21T12:00:00Z",
        first_run_id=str(new_id()),
        scheduled_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    )
    async with world.gateway.database.transaction() as session:
        await scheduled_runs.store_skip(session, firing, SkipReason.INVALID_INPUT)
    assert "cannot run as it is" in (await read(client, task))["note"]


async def test_a_trigger_is_an_ordinary_execution(client: Client) -> None:
    prompt = "At {{ scheduled_at }}, last {{ last_success_at }}: {{ last_report }} {{ other }}"
    task = await make_task(
        client,
        **{**NOON, "schedule_enabled": False},
        prompt_template=prompt,
        variables_schema={"type": "object", "additionalProperties": False, "properties": {}},
        default_variables={},
    )
    key = {"Idempotency-Key": f"trigger-{task['id']}"}
    path = f"{task['_links']['self']}/schedule/trigger"
    response = await client.post(path, headers=key)
    assert response.status_code == 202, response.text
    execution = response.json()
    assert (execution["trigger_type"], execution["task_id"]) == ("scheduled", task["id"])
    assert execution["workflow_id"] == f"execution-{execution['id']}"
    due = execution["trigger_metadata"]["scheduled_at"]
    assert due.endswith("Z")
    variables = execution["prompt_variables"]
    assert variables == {"scheduled_at": due, "last_success_at": "", "last_report": ""}
    assert execution["missing_variables"] == ["other"]
    again = await client.post(path, headers=key)
    assert again.json()["id"] == execution["id"]
    other = await client.post(path)
    assert other.json()["id"] != execution["id"]
    recent = (await read(client, task))["recent_fires"]
    assert [fire["execution_id"] for fire in recent] == [other.json()["id"], execution["id"]]


async def test_given_variables_override_schedule_variables(client: Client) -> None:
    task = await make_task(
        client,
        **NOON,
        prompt_template="{{ scheduled_at }} {{ last_report }}",
        default_variables={"last_report": "nothing yet", "scheduled_at": "some day"},
    )
    execution = await execute(client, task, variables={"scheduled_at": "now"})
    assert execution["prompt_variables"] == {"scheduled_at": "now"}
    known = await execute(client, task)
    assert set(known["prompt_variables"]) == {"scheduled_at"}
    assert known["prompt_variables"]["scheduled_at"].endswith("Z")
    plain = await make_task(client, prompt_template="{{ scheduled_at }}")
    assert (await execute(client, plain))["missing_variables"] == ["scheduled_at"]
    dry = await client.post(f"{task['_links']['self']}/dry-run")
    assert dry.json()["rendered_prompt"].endswith("Z nothing yet")


async def test_a_backfill_says_how_many_fires_it_means(world: World, client: Client) -> None:
    task = await make_task(client, **{**NOON, "schedule_enabled": False})
    path = f"{task['_links']['self']}/schedule/backfill"
    body = {"start_at": "2026-01-01T12:00:00Z", "end_at": "2026-01-03T12:00:00Z"}
    response = await client.post(path, json=body, headers={"Idempotency-Key": task["id"]})
    assert response.status_code == 202, response.text
    backfill = response.json()
    assert (backfill["fires"], backfill["overlap_policy"]) == (3, "buffer_all")
    again = await client.post(path, json=body, headers={"Idempotency-Key": task["id"]})
    assert again.json() == backfill
    async with world.gateway.database.reading() as session:
        rows = (
            await session.scalars(
                select(ScheduleBackfillRow).where(ScheduleBackfillRow.task_id == UUID(task["id"]))
            )
        ).all()
    assert [row.sent_at is not None for row in rows] == [True]


@pytest.mark.parametrize(
    ("start_at", "end_at", "field"),
    [
        ("2026-01-03T00:00:00Z", "2026-01-01T00:00:00Z", "start_at"),
        ("2026-01-03T00:00:00Z", "2026-01-03T00:00:00Z", "start_at"),
        ("2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "end_at"),
        ("0001-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "start_at"),
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "start_at"),
        ("2026-01-01T00:00:00", "2026-01-02T00:00:00Z", "start_at"),
    ],
)
async def test_spans_that_are_refused(
    client: Client, start_at: str, end_at: str, field: str
) -> None:
    task = await make_task(client, **NOON)
    path = f"{task['_links']['self']}/schedule/backfill"
    response = await client.post(path, json={"start_at": start_at, "end_at": end_at})
    assert response.status_code == 422
    assert ["body", field] in [error["loc"] for error in response.json()["errors"]]


async def test_a_backfill_refuses_a_repeated_hour_that_temporal_would_run_wrongly(
    client: Client,
) -> None:
    task = await make_task(
        client, **{**NOON, "schedule_cron": "30 2 * * *", "schedule_timezone": "Europe/Berlin"}
    )
    path = f"{task['_links']['self']}/schedule/backfill"
    refused = await client.post(
        path, json={"start_at": "2019-10-26T00:00:00Z", "end_at": "2019-10-28T12:00:00Z"}
    )
    assert refused.status_code == 422
    assert "2019-10-27" in refused.json()["errors"][0]["msg"]
    beside = {"start_at": "2019-10-27T03:00:00Z", "end_at": "2019-10-28T12:00:00Z"}
    assert (await client.post(path, json=beside)).json()["fires"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"schedule_cron": "0 0 9 * * *"},
        {"schedule_cron": "0 9 31 2 *"},
        {"schedule_cron": "@daily"},
        {"schedule_timezone": "localtime"},
        {"schedule_catchup_window_seconds": 9},
        {"schedule_catchup_window_seconds": 604_801},
        {"schedule_jitter_seconds": -1},
        {"schedule_jitter_seconds": 86_401},
        {"schedule_overlap_policy": "sometimes"},
    ],
)
async def test_what_a_schedule_may_not_be(client: Client, change: dict[str, Any]) -> None:
    task = await make_task(client, **NOON)
    response = await client.patch(task["_links"]["self"], json=change)
    assert response.status_code == 422
    assert response.json()["errors"][0]["loc"] == ["body", *change]


async def test_another_users_schedule_is_theirs(client: Client, other: Client) -> None:
    task = await make_task(client, **NOON, is_public=True)
    path = task["_links"]["schedule"]
    span = {"start_at": "2026-01-01T00:00:00Z", "end_at": "2026-01-02T00:00:00Z"}
    for refused in (
        await other.get(path),
        await other.post(f"{path}/pause"),
        await other.post(f"{path}/resume"),
        await other.post(f"{path}/trigger"),
        await other.post(f"{path}/backfill", json=span),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")


async def test_schedules_are_listed(client: Client, other: Client) -> None:
    active = await make_task(client, **NOON)
    paused = await make_task(client, **{**NOON, "schedule_enabled": False})
    await make_task(client)
    await make_task(other, **NOON, is_public=True)
    page = (await client.get("/api/v1/schedules?page_size=2")).json()
    assert [line["task_id"] for line in page["items"]] == [paused["id"], active["id"]]
    assert [line["state"] for line in page["items"]] == ["paused", "active"]
    assert page["items"][0]["next_fire_at"] is None
    assert datetime.fromisoformat(page["items"][1]["next_fire_at"]).hour == 12


async def test_without_temporal_the_task_is_kept_and_says_so(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway's client is pointed at a port where nobody listens."""
    from runtime.schedules import Schedules  # noqa: PLC0415
    from runtime.settings import Settings  # noqa: PLC0415
    from runtime.temporal import connect  # noqa: PLC0415

    nobody = await connect(Settings(temporal_address="127.0.0.1:1"), lazy=True)
    schedules = world.gateway.services.schedules
    monkeypatch.setattr(schedules, "_client", nobody)
    assert isinstance(schedules, Schedules)
    task = await make_task(client, **NOON)
    schedule = await read(client, task)
    assert schedule["state"] == "out_of_step"
    assert len(schedule["next_fires"]) == 10
    assert schedule["missed_count"] is None
    response = await client.post(
        f"{task['_links']['schedule']}/backfill",
        json={"start_at": "2026-01-01T00:00:00Z", "end_at": "2026-01-02T00:00:00Z"},
    )
    assert (response.status_code, response.json()["fires"]) == (202, 1)
    monkeypatch.undo()
    assert await describe_schedule(world, task) is None
    await client.patch(task["_links"]["self"], json={"description": "touched"})
    assert (await read(client, task))["state"] == "active"
