"""Every page: it opens for its owner, for no other user, and takes no forged form."""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest

from api.main import PAGES
from api.web.page_route import PageRoute
from domain.executions.signals import SignalKind
from domain.ids import new_id
from persistence.executions import signals
from persistence.tables.executions import ExecutionRow, PrefixRow
from persistence.tables.sessions import MessageRow, ToolCallRow
from tests.api.browsing import API, CSRF, Client, alice, browser, sign_in, words
from tests.api.factories import FACTORIES
from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task

__all__ = ["alice"]

PARAMETER = re.compile(r"\{(\w+)(?::path)?\}")

RESOURCES = {
    "request_id": "input-requests",
    "execution_id": "task-executions",
    "task_id": "tasks",
    "session_id": "sessions",
    "plan_id": "plans",
    "agent_id": "agents",
    "namespace": "memory",
    "report_id": "reports",
    "artifact_id": "artifacts",
    "key_id": "api-keys",
    "user_id": "admin",
    "group_id": "groups",
    "tool_group_id": "tool-groups",
    "server_id": "mcp-servers",
    "name": "secrets",
    "template_id": "task-templates",
    "rule_id": "remembered-decisions",
}
"""Which factory makes the resource in a path, by its first parameter."""

ELSEWHERE = {
    "/sign-in": "tested in test_sign_in",
    "/sign-in/provider": "tested in test_provider_sign_in",
    "/sign-in/callback": "tested in test_provider_sign_in",
    "/answer/{token}": "tested in test_answer_links",
    "/inbox/together": "needs requests; tested in test_inbox_lists",
    "/settings/slack": "tested in test_slack",
    "/executions/{execution_id}/events": "a stream",
    "/executions/{execution_id}/files/content": "needs a file",
    "/executions/{execution_id}/report": "needs a report",
}


def list_pages(method: str) -> list[str]:
    """The paths of all pages that take this method."""
    return sorted(
        route.path
        for module in PAGES
        for route in module.router.routes
        if isinstance(route, PageRoute) and method in (route.methods or ())
    )


def fill(path: str, values: dict[str, str]) -> str:
    return PARAMETER.sub(lambda found: values[found[1]], path)


async def make_values(world: World, path: str, cache: dict[str, Any]) -> dict[str, str]:
    """The resource in a path, which belongs to alice; one of each kind is enough."""
    names = PARAMETER.findall(path)
    if not names:
        return {}
    resource = RESOURCES[names[0]]
    if resource not in cache:
        async with world.client("alice") as client:
            cache[resource] = await FACTORIES[resource](world, client, "a <b>mark</b>")
    return {"verb": "pause", **cache[resource]}


async def test_every_page_opens_for_its_owner_only(world: World, alice: Client) -> None:
    bob, visitor = await sign_in(world, "bob"), browser(world)
    cache: dict[str, Any] = {}
    for path in set(list_pages("GET")) - ELSEWHERE.keys():
        values = await make_values(world, path, cache)
        response = await alice.get(fill(path, values))
        is_for_admins = path in {"/users", "/audit/verification"}
        assert response.status_code == (404 if is_for_admins else 200), (path, response.text[:500])
        assert "<b>mark</b>" not in response.text or "html" not in response.headers["content-type"]
        if response.text.startswith("<!doctype html>"):
            assert response.text.count("<h1") == 1, path
        if values and not path.startswith(("/agents/", "/groups/")):  # all users see them
            assert (await bob.get(fill(path, values))).status_code == 404, path
        refused = await visitor.get(fill(path, values))
        assert refused.headers["location"].startswith("/sign-in?next="), path
    await bob.aclose()
    await visitor.aclose()


async def test_no_form_of_another_site_changes_anything(world: World, alice: Client) -> None:
    cache: dict[str, Any] = {}
    for path in set(list_pages("POST")) - ELSEWHERE.keys():
        values = await make_values(world, path, cache)
        response = await alice.post(fill(path, values), data={"csrf": "forged", "content": "x"})
        assert response.status_code == 409, (path, response.status_code)


async def test_admins_see_users_and_verify_the_audit_log(world: World) -> None:
    async with world.client("root", role="admin") as client:
        made = await client.post(f"{API}/sign-in-codes")
    async with browser(world) as root:
        await root.post("/sign-in", data=dict(httpx2.URL(made.json()["url"]).params))
        assert "The chain is intact" in words(await root.get("/audit/verification"))
        assert "alice" in words(await root.get("/users"))


async def post(page: Client, path: str, source: str, **fields: Any) -> httpx2.Response:
    """Send the form of the page `source`."""
    token = CSRF.search((await page.get(source)).text)
    assert token
    return await page.post(path, data={"csrf": token[1], **fields})


async def test_a_task_is_made_run_and_paused(alice: Client) -> None:
    name = f"Greet {new_id()}"
    fields = {
        "name": name,
        "prompt_template": "Greet {{ who }} in {{ tongue }}.",
        "default_variables": '{"tongue": "French"}',
        "allowed_tools": "read_file\nbash(git status)",
        "sdk_options/max_budget_usd": "0.5",
        "schedule_cron": "30 2 * * 1-5",
        "schedule_timezone": "Europe/Berlin",
    }
    wrong = await post(alice, "/tasks", "/tasks/new", **{**fields, "schedule_cron": "61 * * * *"})
    assert wrong.status_code == 422
    assert 'value="61 * * * *"' in wrong.text
    made = await post(alice, "/tasks", "/tasks/new", **fields)
    assert made.status_code == 303, words(made)
    task = made.headers["location"]
    assert "At 02:30, Monday to Friday" in words(await alice.get(task))
    run = await alice.get(f"{task}/run")
    assert 'name="variables/who"' in run.text
    dry = await post(
        alice, f"{task}/run", f"{task}/run", action="dry_run", **{"variables/who": "Ada"}
    )
    assert "Greet Ada in French." in words(dry)
    started = await post(alice, f"{task}/run", f"{task}/run", **{"variables/who": "Ada"})
    execution = started.headers["location"]
    await post(alice, f"{execution}/pause", execution)
    assert "pauses after this step" in words(await alice.get(execution))
    cancelled = await post(alice, f"{execution}/cancel", execution, reason="Enough.")
    assert cancelled.headers["location"] == execution
    renamed = await post(alice, f"{task}/edit", f"{task}/edit", **{**fields, "name": f"{name} 2"})
    assert renamed.headers["location"] == task
    stale = {**fields, "stored_at": "2026-01-01T00:00:00+00:00", "prompt_template": "New."}
    assert "meanwhile" in words(await post(alice, f"{task}/edit", f"{task}/edit", **stale))
    await post(alice, f"{task}/schedule/pause", task)
    assert "paused" in words(await alice.get("/schedules"))


async def test_the_queue_lists_only_external_work(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        body = {"prompt": "x", "title": "By hand", "executor": "external"}
        await client.post(f"{API}/task-executions", json=body)
        task = await make_task(client)
        for _ in range(21):  # more than a page, and newer
            await execute(client, task)
    assert "By hand" in words(await alice.get("/queue"))


async def test_a_form_that_was_kept_over_a_sign_in_is_shown_first(
    world: World, alice: Client
) -> None:
    async with world.client("alice") as client:
        task = await make_task(client)
        execution = await execute(client, task)
    path, fields = f"/tasks/{task['id']}/run", {"variables/name": "Ada", "review": "1"}
    kept = await post(alice, path, path, **fields)
    assert kept.status_code == 409
    assert "Ada</textarea>" in kept.text
    path = f"/executions/{execution['id']}"
    for change in ("pause", "cancel"):
        assert (await post(alice, f"{path}/{change}", path, review="1")).status_code == 409
    shown = words(await alice.get(path))
    assert "pauses after this step" not in shown
    assert "is being cancelled" not in shown


async def test_an_execution_is_asked_to_finish(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
        path = f"/executions/{execution['id']}"
        assert "Finish now" not in words(await alice.get(path))
        await give_session(world, execution)
        assert "Finish now" in words(await alice.get(path))
    await post(alice, f"{path}/finish", path)
    async with world.gateway.database.reading() as session:
        unread = await signals.list_unread(session, UUID(execution["id"]))
    assert SignalKind.FINISH in [signal.kind for signal in unread]
    shown = words(await alice.get(path))
    assert "answers after this step" in shown
    assert "not read yet A person asks you to finish now." in shown
    assert "Finish now" not in shown


async def test_a_message_of_the_page_interrupts(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
    path = f"/executions/{execution['id']}"
    assert 'name="interrupt"' not in (await alice.get(path)).text  # it has not started
    await give_session(world, execution)
    assert 'name="interrupt"' in (await alice.get(path)).text
    await post(alice, f"{path}/messages", path, content="Stop.", interrupt="true")
    async with world.gateway.database.reading() as session:
        unread = await signals.list_unread(session, UUID(execution["id"]))
    assert [signal.kind for signal in unread][-2:] == [SignalKind.MESSAGE, SignalKind.INTERRUPT]


async def test_an_execution_is_forked(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
        await give_session(world, execution)
        await end_with_prompt(world, execution)
        path = f"/executions/{execution['id']}"
        wrong = await post(alice, f"{path}/fork", path, at_turn="7", prompt="Again.")
        assert (wrong.status_code, "at turn" in words(wrong)) == (422, True)
        assert ">\nAgain.</textarea>" in wrong.text
        assert 'id="fork" open' in wrong.text
        assert (await post(alice, f"{path}/fork", path, at_turn="9" * 5000)).status_code == 422
        made = await post(alice, f"{path}/fork", path, at_turn="0", prompt=" Again. ")
        assert made.status_code == 303, words(made)
        forked = (await client.get(f"{API}/task-{made.headers['location'][1:]}")).json()
    assert (forked["forked_from_id"], forked["trigger_type"]) == (execution["id"], "fork")


async def end_with_prompt(world: World, execution: dict[str, Any]) -> None:
    """As if it had called the model once, and ended."""
    async with world.gateway.database.transaction() as session:
        session.add(PrefixRow(sha256=hashlib.sha256(b"pages").digest(), body="{}"))
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        row.prefix_sha256 = hashlib.sha256(b"pages").digest()
        row.status, row.completed_at, row.total_turns = "completed", datetime.now(UTC), 1
        where = {"session_id": row.session_id, "execution_id": row.id, "seq": 1}
        session.add(MessageRow(role="user", content="[]", **where))


async def test_the_summary_of_a_conversation_is_shown(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
    place = {
        "session_id": await give_session(world, execution),
        "execution_id": UUID(execution["id"]),
    }
    content = json.dumps([{"type": "compaction", "content": "They agreed on <blue>."}])
    async with world.gateway.database.transaction() as session:
        session.add(MessageRow(**place, seq=1, role="assistant", content=content))
    shown = await alice.get(f"/executions/{execution['id']}")
    assert "They agreed on &lt;blue&gt;." in shown.text


async def test_a_call_that_waits_is_shown_as_its_execution(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
    session_id = await give_session(world, execution, "waiting_for_user")
    where = {"execution_id": UUID(execution["id"])}
    call = {"name": "bash", "input": "{}", "input_sha256": b"", "effect": "external"}
    ids = {"t1": "waiting_for_user", "t2": "waiting_for_subtask"}
    blocks = [{"type": "tool_use", "id": one, "name": "bash", "input": {}} for one in ids]
    message = MessageRow(
        session_id=session_id, seq=1, role="assistant", content=json.dumps(blocks), **where
    )
    async with world.gateway.database.transaction() as session:
        session.add(message)
        for position, (tool_use_id, status) in enumerate(ids.items()):
            place = {"turn": 1, "position": position, "tool_use_id": tool_use_id}
            session.add(ToolCallRow(status=status, **place, **call, **where))
    shown = (await alice.get(f"/executions/{execution['id']}")).text
    assert shown.count('<span class="status waiting_for_user">waits for a person</span>') == 2
    assert shown.count('<span class="status waiting_for_subtask">waits for a subtask</span>') == 1


async def test_a_key_is_shown_once(world: World, alice: Client) -> None:
    made = await post(alice, "/keys", "/keys", name="pipeline")
    found = re.search(r"pdk_\w+", re.sub(r"<td>.*?</td>", "", made.text))
    assert found
    async with httpx2.AsyncClient(base_url=world.url) as client:
        headers = {"Authorization": f"Bearer {found[0]}"}
        assert (await client.get(f"{API}/me", headers=headers)).json()["subject"] == "alice"
    assert found[0] not in (await alice.get("/keys")).text


async def test_times_are_in_the_zone_of_the_browser(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        made = await execute(client, await make_task(client))
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(made["id"]))
        row.created_at = row.created_at.replace(2026, 1, 5, 23, 30, 0, 0)
    page = f"/executions/{made['id']}"
    for zone, shown in [
        ("Asia%2FTokyo", "6 Jan 2026, 08:30:00 JST (23:30:00 UTC)"),
        ("../etc/passwd", "5 Jan 2026, 23:30:00 UTC"),
        ("Mars%2FOlympus", "5 Jan 2026, 23:30:00 UTC"),
        ("", "5 Jan 2026, 23:30:00 UTC"),
    ]:
        opened = await alice.get(page, headers={"Cookie": f"perdure_zone={zone}; {cookie(alice)}"})
        assert f'title="{shown}"' in opened.text


def cookie(page: Client) -> str:
    [(name, value)] = page.cookies.items()
    return f"{name}={value}"


async def test_a_list_continues_on_older_pages(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        task = await make_task(client)
        for _ in range(25):
            await execute(client, task)
    seen: list[str] = []
    address = f"/executions?task_id={task['id']}"
    while address:
        page = await alice.get(address)
        seen += re.findall(r'data-row href="/executions/([^"]+)"', page.text)
        older = re.search(r'href="([^"]+)" rel="next"', page.text)
        address = older[1].replace("&amp;", "&") if older else ""
    assert len(seen) == len(set(seen)) == 25


@pytest.mark.parametrize("path", ["/executions?status=nonsense", "/tasks?page=0", "/executions/1"])
async def test_a_wrong_address_is_a_page(alice: Client, path: str) -> None:
    assert (await alice.get(path)).status_code == 404


async def test_files_are_kept_by_browsers(world: World) -> None:
    async with browser(world) as visitor:
        page = await visitor.get("/sign-in")
        total = len(page.content)
        for address in set(re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text)):
            file = await visitor.get(address, headers={"Accept-Encoding": "gzip"})
            assert "immutable" in file.headers["cache-control"]
            total += int(file.headers["content-length"])
        assert total < 120_000
        assert (await visitor.get("/static/visits.py")).status_code == 404
        icon = await visitor.get("/favicon.ico")
        assert icon.headers["content-type"] == "image/svg+xml"


def test_every_page_is_walked() -> None:
    assert len(list_pages("GET")) > 40
    assert len(list_pages("POST")) > 20


async def test_each_first_step_is_marked_when_it_is_done(world: World) -> None:
    signed_in, ran = "Perdure runs, and you are signed in", "Run a task that asks you first"
    answered, defined = "Answer it in the inbox", "Define a task of your own"
    user = f"newcomer {new_id()}"
    page = await sign_in(world, user)
    async with world.client(user) as client:
        own = await execute(client, await make_task(client))
        started = await page.get("/start")
        assert "Run the first task" in started.text
        assert list_done(started) == [signed_in, defined]
        await post(page, "/start", "/start")
        assert "Run it again" in (await page.get("/start")).text
        await give_session(world, own, "waiting_for_user")
        request = await ask(world, own, **APPROVAL)
        await client.post(f"{API}/input-requests/{request}/answer", json={"decision": "deny"})
    assert list_done(await page.get("/start")) == [signed_in, ran, answered, defined]
    await page.aclose()


async def test_an_unknown_path_is_a_page_for_browsers_only(world: World, alice: Client) -> None:
    shown = await alice.get("/exections")
    assert (shown.status_code, "Page not found" in shown.text) == (404, True)
    async with world.client("alice") as client:
        refused = await client.get("/exections")
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")


def list_done(start: httpx2.Response) -> list[str]:
    """The headings of the steps that are done."""
    found = re.findall(r'<li class="done"><h2>(.*?)</h2>', start.text)
    return [re.sub("<[^>]+>", "", heading) for heading in found]
