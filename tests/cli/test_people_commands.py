"""Commands about people: groups, claims, withdrawn answers, alike answers, remembered decisions."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task
from tests.cli.conftest import Command
from tests.cli.runner import parse_json
from tests.cli.test_verbs import ok, read_error


async def ask_approvals(world: World, count: int, **fields: Any) -> list[str]:
    """Open requests of alice's executions of one task."""
    async with world.client("alice") as client:
        task = await make_task(client)
        asked = []
        for _ in range(count):
            execution = await execute(client, task)
            await give_session(world, execution, "waiting_for_user")
            asked.append(await ask(world, execution, **{**APPROVAL, **fields}))
    return asked


async def status(perdure: Command, request_id: str) -> Any:
    return parse_json(await perdure("inbox", "get", request_id, "--json"))["status"]


async def test_an_admin_manages_groups(perdure: Command, world: World) -> None:
    boss: dict[str, Any] = {"user": "boss", "role": "admin"}
    async with world.client("ann") as ann:
        await ann.get("/api/v1/me")
    assert "admin" in read_error(await perdure("admin", "create-group", "legal"))
    ok(await perdure("admin", "create-group", "legal", "--member", "ann", **boss))
    assert "legal" in ok(await perdure("admin", "groups"))
    [request_id] = await ask_approvals(world, 1)
    ok(await perdure("inbox", "assign", request_id, "group:legal"))
    assert request_id[:8] in ok(await perdure("inbox", "list", "-o", "wide", user="ann"))
    kept = await perdure("admin", "delete-group", "legal", **boss)
    assert "assigned to this group" in kept.stderr
    ok(await perdure("inbox", "deny", request_id, user="ann"))
    answered = ok(await perdure("inbox", "list", "--status", "answered", user="ann"))
    assert request_id in answered
    assert request_id not in ok(await perdure("inbox", "list", user="ann"))
    ok(await perdure("admin", "set-members", "legal", "--member", "ben", **boss))
    shown = parse_json(await perdure("admin", "groups", "--json"))["items"]
    assert [group["members"] for group in shown] == [["ben"]]
    ok(await perdure("admin", "delete-group", "legal", **boss))
    assert parse_json(await perdure("admin", "groups", "--json"))["items"] == []


async def test_a_request_is_claimed_released_and_its_answer_withdrawn(
    perdure: Command, world: World
) -> None:
    [request_id] = await ask_approvals(world, 1)
    assert "You work on it" in ok(await perdure("inbox", "claim", request_id))
    shown = parse_json(await perdure("inbox", "get", request_id, "--json"))
    assert shown["claimed_by"] == "alice"
    assert "Released" in ok(await perdure("inbox", "release", request_id))
    nothing = await perdure("inbox", "withdraw", request_id)
    assert (nothing.returncode, "no answer that can be withdrawn" in nothing.stderr) == (2, True)
    async with world.client("alice") as client:
        body = {"decision": "approve", "undo_seconds": 60}
        await client.post(f"/api/v1/input-requests/{request_id}/answer", json=body)
    assert await status(perdure, request_id) == "answered"
    assert "open again" in ok(await perdure("inbox", "withdraw", request_id))
    assert await status(perdure, request_id) == "open"


async def test_alike_requests_are_shown_and_answered_together(
    perdure: Command, world: World
) -> None:
    first, second = await ask_approvals(world, 2)
    [several] = await ask_approvals(world, 1, approvals_required=2)
    done = ok(await perdure("inbox", "answer-alike", first, second, "--approve"))
    assert done.count("git push") == 2
    assert "Answered: 2." in done
    assert [await status(perdure, one) for one in (first, second)] == ["answered", "answered"]
    done = ok(await perdure("inbox", "answer-alike", several, "--approve"))
    assert "Answered: 0." in done
    assert "waiting for more people: 1." in done
    [other] = await ask_approvals(world, 1, approvals_required=2)
    assert "approvals of others that it needs: 1." in ok(await perdure("inbox", "approve", other))
    again = await perdure("inbox", "answer-alike", first, "--deny")
    assert "no answer any more" in again.stderr


async def test_alike_answers_are_withdrawn_together(perdure: Command, world: World) -> None:
    asked = await ask_approvals(world, 2)
    answered = ("inbox", "answer-alike", *asked, "--deny", "--undo-seconds", "60")
    assert f"perdure inbox withdraw {' '.join(asked)}" in ok(await perdure(*answered))
    assert "open again: 2." in ok(await perdure("inbox", "withdraw", *asked))
    assert [await status(perdure, one) for one in asked] == ["open", "open"]
    [other] = await ask_approvals(world, 1)
    ok(await perdure(*answered))
    some = await perdure("inbox", "withdraw", asked[0], other)
    assert (some.returncode, "open again: 1." in some.stdout) == (2, True)
    assert f"{other}: This request has no answer" in some.stderr


async def test_a_remembered_decision_is_listed_and_forgotten(
    perdure: Command, world: World
) -> None:
    [request_id] = await ask_approvals(world, 1, reach_sha256=b"reach")
    ok(await perdure("inbox", "approve", request_id, "--remember", "task", "--until", "2d"))
    [rule] = parse_json(await perdure("inbox", "remembered", "--json"))["items"]
    assert (rule["decision"], rule["tool_name"], rule["scope"]) == ("approve", "bash", "task")
    lifetime = datetime.fromisoformat(rule["expires_at"]) - datetime.now(UTC)
    assert timedelta(hours=47) < lifetime <= timedelta(hours=48)
    assert "Revoked" in ok(await perdure("inbox", "forget", rule["id"]))
    assert "No decisions are remembered" in ok(await perdure("inbox", "remembered"))


async def test_a_view_of_the_inbox_is_saved_and_deleted(perdure: Command) -> None:
    ok(await perdure("inbox", "save-view", "Legal", "--assignee", "group:legal"))
    [view] = parse_json(await perdure("inbox", "views", "--json"))
    assert view["filters"] == {"status": "open", "assignee": "group:legal"}
    ok(await perdure("inbox", "delete-view", "Legal"))
    assert "No views yet" in ok(await perdure("inbox", "views"))


async def test_a_running_execution_is_asked_to_finish(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
        await give_session(world, execution)
    finished = ok(await perdure("executions", "finish", execution["id"], "--message", "Be short."))
    assert "It answers now" in finished
