"""Work for external workers: claims, leases, reports, and what a worker is given."""

import asyncio
from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.executions.external_work import MOST_LOST_ATTEMPTS
from domain.ids import new_id
from persistence.executions import signals
from tests.api.factories import AGENT, API
from tests.api.world import World, give_session, make_task

Client = httpx2.AsyncClient
QUEUE = f"{API}/queue"
WORK = f"{API}/task-executions"


async def make_agent(client: Client, **changed: Any) -> str:
    """An external agent of the user's own."""
    slug = f"worker-{new_id().hex}"
    body = {**AGENT, "agent_id": slug, "description": "Writes poems.", "executor": "external"}
    response = await client.post(f"{API}/agents", json={**body, **changed})
    assert response.status_code == 201, response.text
    return slug


async def enqueue(client: Client, **body: Any) -> dict[str, Any]:
    """New work for external workers."""
    given = {"prompt": "Write a poem.", "executor": "external", **body}
    response = await client.post(WORK, json=given)
    assert response.status_code == 202, response.text
    execution: dict[str, Any] = response.json()
    return execution


async def claim(client: Client, execution: dict[str, Any], **body: Any) -> dict[str, Any]:
    """The claimed execution."""
    given = {"execution_id": execution["id"], "lease_seconds": 600, **body}
    response = await client.post(f"{QUEUE}/claim", json=given)
    assert response.status_code == 200, response.text
    claimed: dict[str, Any] = response.json()
    return claimed


async def report(client: Client, claimed: dict[str, Any], **body: Any) -> httpx2.Response:
    given = {"lease_token": claimed["lease_token"], **body}
    return await client.post(f"{QUEUE}/{claimed['id']}/complete", json=given)


async def read(client: Client, execution: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get(f"{WORK}/{execution['id']}")).json()
    return found


async def events(client: Client, execution: dict[str, Any]) -> list[tuple[str, Any]]:
    found = (await client.get(f"{WORK}/{execution['id']}/events")).json()["items"]
    return [(event["type"], event["data"].get("reason")) for event in found]


async def test_work_is_claimed_and_completed(client: Client) -> None:
    execution = await enqueue(client, title="A poem", trigger_metadata={"ticket": 7})
    assert (execution["executor"], execution["status"]) == ("external", "pending")
    assert execution["rendered_prompt"] == "Write a poem."
    claimed = await claim(client, execution, worker="desk 3")
    assert (claimed["status"], claimed["claimed_by"]) == ("running", "desk 3")
    assert claimed["lease_expires_at"] > claimed["claimed_at"]
    assert (claimed["prompt"], claimed["trigger_metadata"]) == ("Write a poem.", {"ticket": 7})
    assert claimed["instructions"]

    response = await report(
        client,
        claimed,
        summary="Twelve lines",
        detailed_work="Roses",
        artifact_type="poem",
        output={"lines": 12},
        file_paths=["poem.txt"],
    )
    assert response.status_code == 200, response.text
    done = response.json()
    assert (done["status"], done["summary"]) == ("completed", "Twelve lines")
    [artifact] = done["artifacts"]
    assert (artifact["type"], artifact["size"]) == ("poem", 5)
    assert done["result_data"] == {
        "text": "Roses",
        "output": {"lines": 12},
        "artifact_ids": [artifact["id"]],
        "file_paths": ["poem.txt"],
    }
    assert (done["lease_expires_at"], done["claimed_by"]) == (None, "desk 3")
    content = await client.get(f"{API}/artifacts/{artifact['id']}/content")
    assert content.text == "Roses"
    assert [kind for kind, _ in await events(client, done)] == [
        "execution.created",
        "execution.started",
        "artifact.saved",
        "execution.completed",
    ]
    again = await report(client, claimed, summary="Once more")
    assert (again.status_code, again.json()["code"]) == (409, "lease_lost")
    assert "the execution is completed. Stop the work." in again.json()["detail"]
    assert "claim" not in again.json()["detail"]


async def test_the_queue_gives_the_highest_priority_first(client: Client) -> None:
    agent = await make_agent(client)
    low, first, second = [
        await enqueue(client, agent_id=agent, executor=None, priority=priority)
        for priority in (1, 9, 9)
    ]
    assert low["executor"] == "external"
    pending = (await client.get(f"{API}/agents/{agent}/pending")).json()["items"]
    assert [item["id"] for item in pending] == [second["id"], first["id"], low["id"]]
    body = {"agent_id": agent, "lease_seconds": 60}
    order = [(await client.post(f"{QUEUE}/claim", json=body)).json()["id"] for _ in range(3)]
    assert order == [first["id"], second["id"], low["id"]]
    assert (await client.post(f"{QUEUE}/claim", json=body)).status_code == 204
    assert (await client.get(f"{API}/agents/{agent}/pending")).json()["items"] == []
    unknown = await client.post(f"{QUEUE}/claim", json={"agent_id": "unknown"})
    assert unknown.status_code == 404
    assert (await client.get(f"{API}/agents/unknown/pending")).status_code == 404


async def test_a_storm_of_claims_gives_each_execution_once(client: Client) -> None:
    agent = await make_agent(client)
    made = {(await enqueue(client, agent_id=agent))["id"] for _ in range(10)}

    async def work() -> list[str]:
        done: list[str] = []
        while True:
            body = {"agent_id": agent, "lease_seconds": 60}
            response = await client.post(f"{QUEUE}/claim", json=body)
            if response.status_code == 204:
                return done
            claimed = response.json()
            assert (await report(client, claimed, summary="done")).status_code == 200
            done.append(claimed["id"])

    found = [i for done in await asyncio.gather(*(work() for _ in range(20))) for i in done]
    assert sorted(found) == sorted(made)


@pytest.mark.parametrize(
    ("action", "status", "reason"),
    [
        ("complete", "completed", None),
        ("continue", "running", None),
        ("needs_revision", "pending", "needs_revision"),
        ("blocked", "blocked", "worker_blocked"),
    ],
)
async def test_each_next_action_has_its_state(
    client: Client, action: str, status: str, reason: str | None
) -> None:
    claimed = await claim(client, await enqueue(client))
    response = await report(
        client, claimed, summary="so far", detailed_work="text", next_action=action
    )
    found = response.json()
    assert (found["status"], found["status_reason"]) == (status, reason)
    assert (found["summary"], len(found["artifacts"])) == ("so far", 1)
    kept = await report(client, claimed, summary="then", next_action="complete")
    assert kept.status_code == (200 if action == "continue" else 409)


async def test_work_that_was_reported_before_shows_what_there_is(client: Client) -> None:
    execution = await enqueue(client)
    claimed = await claim(client, execution)
    await report(client, claimed, summary="half", detailed_work="one", next_action="needs_revision")
    again = await claim(client, execution)
    [artifact] = again["artifacts"]
    assert "half" in again["specialist_context"]
    assert artifact["id"] in again["specialist_context"]
    assert again["lease_token"] != claimed["lease_token"]


@pytest.mark.parametrize("next_action", ["complete", "continue", "needs_revision"])
async def test_a_report_without_a_summary_keeps_that_of_the_work(
    client: Client, next_action: str
) -> None:
    execution = await enqueue(client, summary="A poem about the moon")
    claimed = await claim(client, execution)
    assert (await report(client, claimed, next_action=next_action)).status_code == 200
    assert (await read(client, execution))["summary"] == "A poem about the moon"


async def test_a_blocked_execution_is_resumed(client: Client) -> None:
    execution = await enqueue(client)
    claimed = await claim(client, execution)
    await report(client, claimed, summary="Which colour?", next_action="blocked")
    refused = await client.post(f"{QUEUE}/claim", json={"execution_id": execution["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_claimable")
    blocked = await read(client, execution)
    response = await client.post(blocked["_links"]["resume"])
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    await report(client, await claim(client, execution), summary="red")
    assert (await read(client, execution))["status"] == "completed"


async def test_a_failure_ends_the_work_or_returns_it(client: Client) -> None:
    execution = await enqueue(client)
    for number in range(MOST_LOST_ATTEMPTS):
        claimed = await claim(client, execution)
        lease = {"lease_token": claimed["lease_token"], "message": "no ink", "retryable": True}
        failed = (await client.post(f"{QUEUE}/{claimed['id']}/fail", json=lease)).json()
        is_last = number == MOST_LOST_ATTEMPTS - 1
        assert failed["status"] == ("failed" if is_last else "pending")
    assert (failed["error_code"], failed["error_message"]) == ("worker_error", "no ink")
    claimed = await claim(client, await enqueue(client))
    lease = {"lease_token": claimed["lease_token"], "message": "no"}
    failed = (await client.post(f"{QUEUE}/{claimed['id']}/fail", json=lease)).json()
    assert failed["status"] == "failed"


async def test_a_paused_execution_is_not_given_out(client: Client) -> None:
    agent = await make_agent(client)
    execution = await enqueue(client, agent_id=agent)
    assert (await client.post(execution["_links"]["pause"])).status_code == 202
    assert (await client.post(f"{QUEUE}/claim", json={"agent_id": agent})).status_code == 204
    refused = await client.post(f"{QUEUE}/claim", json={"execution_id": execution["id"]})
    assert refused.status_code == 409
    await client.post(f"{WORK}/{execution['id']}/resume")
    await claim(client, execution)


async def test_what_cannot_be_claimed_is_refused(client: Client, other: Client) -> None:
    by_claude = (await client.post(WORK, json={"prompt": "x"})).json()
    refused = await client.post(f"{QUEUE}/claim", json={"execution_id": by_claude["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_claimable")
    execution = await enqueue(client)
    theirs = await other.post(f"{QUEUE}/claim", json={"execution_id": execution["id"]})
    assert theirs.status_code == 403
    await claim(client, execution, worker="desk 1")
    taken = await client.post(f"{QUEUE}/claim", json={"execution_id": execution["id"]})
    assert taken.status_code == 409
    assert "desk 1" in taken.json()["detail"]
    nothing = await client.post(f"{QUEUE}/claim", json={"execution_id": str(new_id())})
    assert nothing.status_code == 404
    late = {"execution_id": execution["id"], "lease_seconds": 0}
    assert (await client.post(f"{QUEUE}/claim", json=late)).status_code == 422


async def test_results_of_prerequisites_are_given_to_the_worker(client: Client) -> None:
    agent = await make_agent(client, capabilities=["rhyme"])
    first = await enqueue(client, title="Choose words")
    second = await enqueue(
        client, title="Use them", agent_id=agent, prerequisites=[first["id"]], executor=None
    )
    assert (second["status"], second["status_reason"]) == ("blocked", "prerequisites")
    refused = await client.post(f"{QUEUE}/claim", json={"execution_id": second["id"]})
    assert refused.status_code == 409
    done = await report(
        client, await claim(client, first), summary="Two words", detailed_work="moon, june"
    )
    claimed = await claim(client, second)
    [result] = claimed["prerequisites"]
    assert (result["execution_id"], result["text"]) == (first["id"], "moon, june")
    assert [a["id"] for a in result["artifacts"]] == [a["id"] for a in done.json()["artifacts"]]
    for part in ("## Role", "rhyme", "## Approach", "Use them", "Choose words", "moon, june"):
        assert part in claimed["specialist_context"]


async def test_a_failed_prerequisite_fails_what_waits_for_it(client: Client) -> None:
    first = await enqueue(client)
    second = await enqueue(client, prerequisites=[first["id"]])
    claimed = await claim(client, first)
    lease = {"lease_token": claimed["lease_token"], "message": "no"}
    await client.post(f"{QUEUE}/{claimed['id']}/fail", json=lease)
    found = await read(client, second)
    assert (found["status"], found["error_code"]) == ("failed", "prerequisite_failed")


async def test_an_execution_that_begins_to_wait_during_the_end(client: Client) -> None:
    for _ in range(5):
        first = await enqueue(client)
        session = (await client.post(f"{API}/sessions", json={})).json()
        claimed = await claim(client, first)
        done, second = await asyncio.gather(
            report(client, claimed, summary="x"),
            enqueue(client, prerequisites=[first["id"]], session_id=session["id"]),
        )
        assert done.status_code == 200, done.text
        assert (await read(client, second))["status"] == "pending"


async def test_external_executions_have_no_messages_reports_or_forks(client: Client) -> None:
    execution = await enqueue(client)
    path = f"{WORK}/{execution['id']}"
    message = await client.post(f"{path}/messages", json={"content": "Hurry."})
    assert message.status_code == 409
    assert (await client.post(f"{path}/fork", json={"at_turn": 0})).status_code == 409
    body = {"prompt": "x", "executor": "external", "generate_report": True, "report_format": "html"}
    assert (await client.post(WORK, json=body)).status_code == 422


async def test_a_retry_is_external_too(client: Client) -> None:
    execution = await enqueue(client)
    claimed = await claim(client, execution)
    lease = {"lease_token": claimed["lease_token"], "message": "no"}
    await client.post(f"{QUEUE}/{claimed['id']}/fail", json=lease)
    retry = (await client.post(f"{WORK}/{execution['id']}/retry")).json()
    assert (retry["executor"], retry["rendered_prompt"]) == ("external", "Write a poem.")


async def test_a_task_of_an_external_agent_waits_for_a_worker(client: Client) -> None:
    agent = await make_agent(client)
    task = await make_task(client, prompt_template="About {{ what }}.", agent_id=agent)
    response = await client.post(task["_links"]["execute"], json={"variables": {"what": "rain"}})
    execution = response.json()
    assert execution["executor"] == "external"
    assert (await claim(client, execution))["prompt"] == "About rain."


async def test_the_end_of_work_is_signalled_until_its_workflow_knows(
    world: World, client: Client
) -> None:
    claimed = await claim(client, await enqueue(client))
    await report(client, claimed, summary="x")
    async with world.gateway.database.reading() as session:
        unread = await signals.list_unread(session, UUID(claimed["id"]))
    assert [row.kind for row in unread] == ["ended"]


async def test_work_in_a_session_takes_an_object(client: Client) -> None:
    agent = await make_agent(client)
    session = (await client.post(f"{API}/sessions", json={})).json()
    tasks = session["_links"]["tasks"]
    given = {"goal": "rhyme", "words": ["moon", None]}
    response = await client.post(tasks, json={"agent_id": agent, "input": given})
    assert response.status_code == 201, response.text
    made = response.json()
    assert (made["status"], made["session_id"], made["agent_id"], made["input"]) == (
        "pending",
        session["id"],
        agent,
        given,
    )
    pending = (await client.get(f"{API}/agents/{agent}/pending")).json()["items"]
    assert [item["id"] for item in pending] == [made["id"]]
    assert (await claim(client, made))["prompt"] == '{"goal": "rhyme", "words": ["moon", null]}'
    text_work = await client.post(tasks, json={"agent_id": agent, "input": "As text."})
    assert (text_work.json()["status"], text_work.json()["input"]) == ("blocked", "As text.")


@pytest.mark.parametrize(
    "body", [{"agent_id": "unknown"}, {"agent_id": "unknown", "input": 5, "more": 1}]
)
async def test_unknown_references_come_before_the_rest_of_the_body(
    client: Client, body: dict[str, Any]
) -> None:
    session = (await client.post(f"{API}/sessions", json={})).json()
    assert (await client.post(session["_links"]["tasks"], json=body)).status_code == 404
    nowhere = await client.post(f"{API}/sessions/{new_id()}/tasks", json={"input": 5})
    assert nowhere.status_code == 404
    values: list[Any] = [[], 5, {}, ""]
    for value in values:
        wrong = await client.post(
            session["_links"]["tasks"], json={"agent_id": "tester", "input": value}
        )
        assert wrong.status_code == 422


async def test_a_session_continues_when_blocked_work_in_it_is_cancelled(
    world: World, client: Client
) -> None:
    """The work that its worker blocked holds the session until its workflow ends it."""
    execution = await enqueue(client)
    session_id = await give_session(world, execution, status="pending")
    waiting = await enqueue(client, session_id=str(session_id))
    assert waiting["status_reason"] == "session_busy"
    claimed = await claim(client, execution)
    await report(client, claimed, summary="stuck", next_action="blocked")
    response = await client.post(f"{WORK}/{execution['id']}/cancel")
    assert (response.json()["status"], bool(response.json()["cancel_requested_at"])) == (
        "blocked",
        True,
    )
