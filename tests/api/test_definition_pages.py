"""Pages that define groups, MCP servers, secrets and templates, and revoke remembered decisions."""

import html
import re
from unittest.mock import ANY

import httpx2

from domain.ids import new_id
from tests.api.browsing import API, Client, alice, browser, words
from tests.api.factories import remembered_decision
from tests.api.test_pages import post
from tests.api.world import World

__all__ = ["alice"]


def form_of(page: httpx2.Response) -> dict[str, list[str]]:
    """The fields of the last form of a page, as a browser sends them back unchanged."""
    form = page.text.rpartition('method="post"')[2]
    fields: dict[str, list[str]] = {}
    for tag in re.findall(r"<input [^>]+>", form):
        found = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        is_off = found.get("type") in {"radio", "checkbox"} and " checked" not in tag
        if not is_off:
            fields.setdefault(found["name"], []).append(html.unescape(found.get("value", "")))
    for name, text in re.findall(r'<textarea id="[^"]+" name="([^"]+)"[^>]*>\n([^<]*)<', form):
        fields.setdefault(name, []).append(html.unescape(text))
    for name, menu in re.findall(
        r'<select id="[^"]+" name="([^"]+)".*?>(.*?)</select>', form, re.DOTALL
    ):
        chosen = re.search(r'value="([^"]*)" selected', menu) or re.search(r'value="([^"]*)"', menu)
        assert chosen
        fields.setdefault(name, []).append(html.unescape(chosen[1]))
    return fields


async def test_an_admin_defines_a_group(world: World, alice: Client) -> None:
    async with world.client("chief", role="admin") as client:
        made = await client.post(f"{API}/sign-in-codes")
    async with browser(world) as chief:
        await chief.post("/sign-in", data=dict(httpx2.URL(made.json()["url"]).params))
        name = f"g{new_id().hex}"
        fields = {"name": name, "members": "alice\nbob", "working_hours/time_zone": "Mars/Olympus"}
        wrong = await post(chief, "/groups", "/groups/new", **fields)
        assert wrong.status_code == 422
        assert "alice\nbob</textarea>" in wrong.text
        del fields["working_hours/time_zone"]
        group = (await post(chief, "/groups", "/groups/new", **fields)).headers["location"]
        sent = form_of(await chief.get(group)) | {"members": ["bob"], "description": ["Lawyers"]}
        assert (await chief.post(group, data=sent)).status_code == 303
        assert (await chief.post(group, data=sent)).status_code == 409  # of an older state
        shown = words(await alice.get("/groups"))
        assert f"{name} Lawyers group:{name} 1 member" in shown
        refused = await post(alice, group, "/keys", members="alice")
        assert refused.status_code == 403
        assert "disabled" in (await alice.get(group)).text
        await post(chief, group.replace("edit", "delete"), group)
        assert name not in words(await alice.get("/groups"))


async def test_a_server_uses_a_secret(alice: Client) -> None:
    secret, server = f"s{new_id().hex}", f"shop-{new_id().hex}"
    value = "correct horse battery"
    stored = await post(
        alice, "/secrets", "/secrets/new", name=secret, value=value, hosts="mcp.example.com"
    )
    assert stored.status_code == 303, words(stored)
    again = await post(alice, "/secrets", "/secrets/new", name=secret, value="another value")
    assert (again.status_code, "open it to replace it" in words(again)) == (409, True)
    page = await alice.get(stored.headers["location"])
    assert "mcp.example.com</textarea>" in page.text
    assert value not in page.text
    fields = {"name": server, "url": "https://mcp.example.com/mcp"}
    values = {"headers/value": ["", f"Bearer secret://{secret}"]}
    nameless = fields | values | {"headers/name": ["", ""]}
    wrong = await post(alice, "/mcp-servers", "/mcp-servers/new", **nameless)
    assert "Row 2, Name: Fill in this field." in words(wrong)
    empty = form_of(await alice.get("/mcp-servers/new"))
    headers = values | {"headers/name": ["", "Authorization"]}
    made = await alice.post("/mcp-servers", data=empty | fields | headers)
    assert made.status_code == 303, words(made)
    address = made.headers["location"]
    sent = form_of(await alice.get(address))
    assert "command" not in sent  # for admins
    assert (await alice.post(address, data=sent | {"description": ["Orders"]})).status_code == 303
    page = await alice.get(address)
    assert "Orders</textarea>" in page.text
    assert f"secret://{secret}" in page.text
    assert f"It is used by {server}" in words(await alice.get(stored.headers["location"]))
    for definition in (address, stored.headers["location"]):
        await post(alice, definition.replace("edit", "delete"), definition)
        assert (await alice.get(definition)).status_code == 404


async def test_a_template_becomes_a_task(alice: Client) -> None:
    name = f"Greeting {new_id()}"
    fields = {
        "name": name,
        "task/prompt_template": "Greet {{ who }} in {{ language }}.",
        "parameters/name": ["who", "language", ""],
        "parameters/default": ["", "French", ""],
        "parameters/description": ["A person", "", ""],
        "task/allowed_tools": "read_file",
    }
    unused = fields | {"parameters/name": ["reader", "language", ""]}
    wrong = await post(alice, "/templates", "/templates/new", **unused)
    assert "Row 1, name: The parameter is not used" in words(wrong)
    assert 'value="reader"' in wrong.text
    made = await post(alice, "/templates", "/templates/new", **fields)
    assert made.status_code == 303, words(made)
    template = made.headers["location"]
    assert (await post(alice, template, template, name=f"{name} task")).status_code == 422
    entered = {"name": f"{name} task", "parameters/who": "Ada"}
    task = await post(alice, template, template, **entered)
    assert "Greet Ada in French." in words(await alice.get(task.headers["location"]))
    edit = f"{template}/edit"
    sent = form_of(await alice.get(edit))
    assert sent["parameters/default"] == ["", "French", ""]
    budget = {"task/sdk_options/max_budget_usd": ["2"]}
    assert (await alice.post(edit, data=sent | budget)).status_code == 303
    assert form_of(await alice.get(edit)) == sent | budget | {"stored_at": [ANY], "csrf": [ANY]}
    await post(alice, f"{template}/delete", template)
    assert (await alice.get(template)).status_code == 404


async def test_a_remembered_decision_is_revoked(world: World, alice: Client) -> None:
    async with world.client("alice") as client:
        made = await remembered_decision(world, client, "mark")
        rule = (await client.get(f"{API}/remembered-decisions/{made['rule_id']}")).json()
    address = f"/remembered-decisions?task_id={rule['task_id']}"
    assert "approved bash" in words(await alice.get(address))
    await post(alice, f"/remembered-decisions/{rule['id']}/revoke", address)
    assert "Nothing is remembered here" in words(await alice.get(address))


async def test_every_field_of_a_task_survives_its_form(world: World, alice: Client) -> None:
    body = {
        "name": f"All {new_id()}",
        "prompt_template": "Count the files.",
        "ask_tools": ["bash"],
        "sdk_options": {"effort": "high", "max_turns": 7, "timeout_seconds": 90},
        "schedule_cron": "0 9 * * *",
        "schedule_overlap_policy": "allow_all",
        "memory": {"namespaces": [{"namespace": "project:x", "mode": "write"}]},
        "human_input_policy": {
            "due_seconds": 60,
            "on_expiry": "default",
            "default_answer": {"decision": "deny"},
            "remind_after_seconds": [20, 40],
            "recheck_tools": ["bash(git push *)"],
        },
        "notification_config": {
            "email": [{"to": "a@example.com", "events": ["input.requested", "execution.failed"]}],
            "slack": [{"url": "https://hooks.slack.com/services/x", "has_answer_links": True}],
        },
        "artifact_retention_seconds": 86400,
    }
    async with world.client("alice") as client:
        task = (await client.post(f"{API}/tasks", json=body)).raise_for_status().json()
        await client.post(f"{API}/tasks/{task['id']}/schedule/pause")
        before = (await client.get(f"{API}/tasks/{task['id']}")).json()
        address = f"/tasks/{task['id']}/edit"
        sent = form_of(await alice.get(address))
        assert (await alice.post(address, data=sent)).status_code == 303
        after = (await client.get(f"{API}/tasks/{task['id']}")).json()
        changed = {name for name in after if name != "_links" and after[name] != before[name]}
        assert changed <= {"version", "updated_at", "notification_config"}
        assert after["notification_config"]["slack"][0]["has_answer_links"] is True
        buttons = sent | {"notification_config/slack/has_buttons": ["true", ""]}
        fresh = form_of(await alice.get(address))
        assert (
            await alice.post(address, data=buttons | {"stored_at": fresh["stored_at"]})
        ).is_redirect
        changed_task = (await client.get(f"{API}/tasks/{task['id']}")).json()
    assert changed_task["notification_config"]["slack"][0]["has_buttons"] is True


async def test_a_form_changes_only_what_a_person_changed(world: World, alice: Client) -> None:
    task = {
        "name": f"Quiet {new_id()}",
        "description": "Counts.\nSlowly.",
        "prompt_template": "Count the files.",
        "schedule_cron": "0 9 * * *",
        "is_scheduled": False,
        "schedule_enabled": False,
        "agent_id": "gone",
    }
    agent = {
        "agent_id": "gone",
        "name": "Gone",
        "system_prompt": "Count.",
        "network": {"allow": []},
    }
    greeting = {"prompt_template": "Count {{ what }}.", "description": "Counts {{ what }}."}
    template = {"name": f"Count {new_id()}", "parameters": [{"name": "what"}], "task": greeting}
    server = {"name": f"s{new_id().hex}", "url": "https://mcp.example.com/mcp"}
    async with world.client("alice") as client:
        (await client.post(f"{API}/agents", json=agent)).raise_for_status()
        for kind, page, body in (
            ("agents/gone", "agents/gone", None),
            ("task-templates", "templates", template),
            ("tasks", "tasks", task),
        ):
            path, address = f"{API}/{kind}", f"/{page}"
            if body is not None:
                made = (await client.post(path, json=body)).raise_for_status().json()
                path, address = f"{path}/{made['id']}", f"{address}/{made['id']}"
            before = (await client.get(path)).json()
            sent = form_of(await alice.get(f"{address}/edit")) | {"name": [" Renamed "]}
            if kind == "tasks":
                (await client.delete(f"{API}/agents/gone")).raise_for_status()
            saved = await alice.post(f"{address}/edit", data=sent)
            assert saved.status_code == 303, words(saved)
            after = (await client.get(path)).json()
            counted = {"updated_at": ANY} | ({"version": ANY} if kind == "tasks" else {})
            assert after == before | {"name": "Renamed"} | counted
        sent = form_of(await alice.get(f"{address}/edit")) | {"schedule_cron": [""]}
        sent |= {"agent_id": [""]}
        assert (await alice.post(f"{address}/edit", data=sent)).status_code == 303
        assert (await client.get(path)).json()["schedule_cron"] is None
    twice = {"headers/name": ["A", "A"], "headers/value": ["1", "2"]}
    wrong = await post(alice, "/mcp-servers", "/mcp-servers/new", **server, **twice)
    assert "Row 2: Another row has this name" in words(wrong)


async def test_a_built_in_agent_is_read_only_and_is_copied(world: World) -> None:
    async with world.client("chief", role="admin") as client:
        made = await client.post(f"{API}/sign-in-codes")
        original = (await client.get(f"{API}/agents/reviewer")).json()
        async with browser(world) as chief:
            await chief.post("/sign-in", data=dict(httpx2.URL(made.json()["url"]).params))
            shown = await chief.get("/agents/reviewer/edit")
            assert "can't be changed" in words(shown)
            assert ">Save</button>" not in shown.text
            assert "/agents/reviewer/copy" in (await chief.get("/agents/reviewer")).text
            sent = form_of(await chief.get("/agents/reviewer/copy")) | {"agent_id": ["my-reviewer"]}
            assert (await chief.post("/agents", data=sent)).status_code == 303
        copied = (await client.get(f"{API}/agents/my-reviewer")).json()
    for same in ("system_prompt", "description", "allowed_tools", "capabilities", "executor"):
        assert copied[same] == original[same]
    assert (copied["name"], copied["is_builtin"]) == (f"{original['name']} (copy)", False)


async def test_a_copy_of_an_agent_keeps_empty_limits(world: World, alice: Client) -> None:
    """Without the limits, its subtasks would have the hosts and the memory of their parent."""
    limits: dict[str, dict[str, list[str]]] = {
        "network": {"allow": []},
        "memory": {"namespaces": []},
    }
    agent = {"agent_id": "strict", "name": "Strict", "system_prompt": "Count.", **limits}
    async with world.client("alice") as client:
        (await client.post(f"{API}/agents", json=agent)).raise_for_status()
        sent = form_of(await alice.get("/agents/strict/copy"))
        wrong = await alice.post("/agents", data=sent | {"agent_id": ["A B"]})
        assert wrong.status_code == 422
        corrected = form_of(wrong) | {"agent_id": ["copied"]}
        assert (await alice.post("/agents", data=corrected)).status_code == 303
        copied = (await client.get(f"{API}/agents/copied")).json()
    assert {name: copied[name] for name in limits} == limits
