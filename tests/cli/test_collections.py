"""`hooks`, `templates`, `tool-groups`, `mcp-servers`, `admin` and `me`, at a real gateway."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from fastapi import FastAPI

from tests.api.conftest import serve_app
from tests.api.world import World, ask, execute, make_task
from tests.cli.conftest import Command
from tests.cli.runner import Invocation, parse_json

TEMPLATE = """\
name: watch
description: Watches a repository.
parameters:
  - {name: repository, description: "Which one?"}
  - {name: tone, default: friendly}
task:
  prompt_template: Show {{ reader }} what is new in {{ repository }}.
  system_prompt: Be {{ tone }}.
  allowed_tools: ["bash(git *)"]
"""
CANARY = "canary-5f1c"


def ok(result: Invocation) -> str:
    assert result.returncode == 0, result.output
    return result.stdout


def read_error(result: Invocation) -> str:
    """The error that the command printed."""
    assert result.returncode == 2, result.output
    return result.stderr.removeprefix("perdure: ").strip()


async def test_a_hook_is_made_used_listed_and_closed(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        await make_task(client, name="greet")
    made = await perdure("hooks", "create", "greet", "--name", "shop")
    url = ok(made).strip()
    assert "secret" in made.stderr
    async with httpx2.AsyncClient() as outside:
        assert (await outside.post(url, json={"name": "Ada"})).status_code == 202
    token = url.rsplit("/", 1)[-1]
    listed = await perdure("hooks", "list", "greet")
    [line] = [line for line in ok(listed).splitlines() if "shop" in line]
    shown = await perdure("hooks", "get", "greet", "shop", "--json")
    assert parse_json(shown)["id"] in line
    assert token not in listed.output + shown.output
    again = parse_json(await perdure("hooks", "create", "greet", "--name", "shop", "--json"))
    assert again["url"].startswith("http")
    assert again["id"] in read_error(await perdure("hooks", "delete", "greet", "shop"))
    ok(await perdure("hooks", "delete", "greet", again["id"]))
    assert "Closed: shop" in ok(await perdure("hooks", "delete", "greet", "shop"))
    assert "hooks list" in read_error(await perdure("hooks", "get", "greet", "shop"))
    assert parse_json(await perdure("hooks", "list", "greet", "--json")) == []
    async with httpx2.AsyncClient() as outside:
        assert (await outside.post(url, json={})).status_code == 404


async def test_a_task_is_made_from_a_template(perdure: Command, tmp_path: Path) -> None:
    file = tmp_path / "watch.yaml"
    file.write_text(TEMPLATE)
    made = parse_json(await perdure("templates", "create", "-f", str(file), "--json"))
    assert "watch" in ok(await perdure("templates", "list"))
    shown = ok(await perdure("templates", "get", "watch"))
    for words in ("Which one?", "(to be given)", "friendly", "system_prompt: Be {{ tone }}."):
        assert words in shown
    values = ("-p", "repository=shop")
    changes = tmp_path / "changes.yaml"
    changes.write_text("tags: [shop]\n")
    task = parse_json(
        await perdure(
            "templates",
            "create-task",
            "watch",
            "of the shop",
            *values,
            "-f",
            str(changes),
            "--json",
        )
    )
    assert task["prompt_template"] == "Show {{ reader }} what is new in shop."
    assert (task["system_prompt"], task["tags"]) == ("Be friendly.", ["shop"])
    missing = read_error(await perdure("templates", "create-task", "watch", "another"))
    assert "parameters.repository: Which one?" in missing
    assert "-p repository" in read_error(
        await perdure("templates", "create-task", "watch", "x", "-p", "repository")
    )
    file.write_text("description: Watches it well.\n")
    ok(await perdure("templates", "update", made["id"], "-f", str(file)))
    changed = parse_json(await perdure("templates", "get", "watch", "--json"))
    assert changed["description"] == "Watches it well."
    assert changed["task"] == yaml.safe_load(TEMPLATE)["task"]
    file.write_text("- name\n")
    assert "fields of one thing" in read_error(
        await perdure("templates", "create", "-f", str(file))
    )
    ok(await perdure("templates", "delete", "watch"))
    assert "templates list" in read_error(await perdure("templates", "get", "watch"))


async def test_a_tool_group_is_kept_changed_and_deleted(perdure: Command) -> None:
    made = await perdure("tool-groups", "create", "looking", "read_file", "bash(git *)")
    assert "group:looking" in ok(made)
    _, line = ok(await perdure("tool-groups", "list")).splitlines()
    assert "read_file, bash(git *)" in line
    assert "ssh" in read_error(await perdure("tool-groups", "create", "wrong", "ssh"))
    assert "--description" in read_error(await perdure("tool-groups", "update", "looking"))
    ok(await perdure("tool-groups", "update", "looking", "--description", "To look."))
    ok(await perdure("tool-groups", "update", "looking", "list_files", "--name", "listing"))
    group = parse_json(await perdure("tool-groups", "get", "listing", "--json"))
    assert (group["tools"], group["description"]) == (["list_files"], "To look.")
    ok(await perdure("tool-groups", "delete", "listing"))
    assert parse_json(await perdure("tool-groups", "list", "--json")) == []


async def test_an_mcp_server_is_kept_and_its_secrets_never_shown(perdure: Command) -> None:
    url = ("--url", "https://mcp.example.com/mcp")
    literal = f"Authorization=Bearer {CANARY}"
    assert "secrets set" in read_error(
        await perdure("mcp-servers", "create", "shop", *url, "--header", literal)
    )
    asked = ("--header", "Authorization", "--header", "X-Org=acme")
    made = await perdure("mcp-servers", "create", "shop", *url, *asked, typed=f"Bearer {CANARY}\n")
    assert '"ref": "shop"' in ok(made)
    listed = await perdure("mcp-servers", "list")
    [line] = [line for line in ok(listed).splitlines() if "shop" in line]
    assert "not checked" in line
    shown = await perdure("mcp-servers", "get", "shop")
    assert '"Authorization": "********"' in ok(shown)
    changed = await perdure(
        "mcp-servers",
        "update",
        "shop",
        "--header",
        "X-Key=secret://key",
        "--drop",
        "X-Org",
        "--json",
    )
    assert parse_json(changed)["headers"] == {
        "Authorization": "********",
        "X-Key": "secret://key",
    }
    assert "nothing to change" in read_error(await perdure("mcp-servers", "update", "shop"))
    assert CANARY not in "".join(r.output for r in (made, listed, shown, changed))
    command = ("--command", "npx", "--arg", "-y", "--arg", "shop-mcp", "--public")
    assert "admin" in read_error(await perdure("mcp-servers", "create", "local", *command))
    assert "admin" in read_error(await perdure("mcp-servers", "update", "shop", "--trusted"))
    create = ("mcp-servers", "create", "local", *command, "--trusted", "--json")
    local = await perdure(*create, user="root", role="admin")
    assert parse_json(local)["is_trusted"]
    assert "npx -y shop-mcp" in ok(await perdure("mcp-servers", "list"))
    ok(await perdure("mcp-servers", "delete", "shop"))
    assert "mcp-servers list" in read_error(await perdure("mcp-servers", "get", "shop"))


async def test_a_server_gets_and_loses_credentials_for_tokens(perdure: Command) -> None:
    made = ("mcp-servers", "create", "shop", "--url", "https://mcp.example.com/mcp")
    client = ("--client-id", "perdure")
    assert "--private-key" in read_error(await perdure(*made, *client))
    ok(await perdure(*made, *client, "--private-key", "secret://key", "--algorithm", "ES256"))
    shown = parse_json(await perdure("mcp-servers", "get", "shop", "--json"))["auth"]
    assert (shown["type"], shown["secret"]) == ("private_key_jwt", "secret://key")
    secret = ("--client-secret", "secret://new", "--scope", "a b")
    changed = await perdure("mcp-servers", "update", "shop", *client, *secret, "--json")
    auth = parse_json(changed)["auth"]
    assert (auth["type"], auth["scope"]) == ("client_credentials", "a b")
    dropped = await perdure("mcp-servers", "update", "shop", "--drop", "auth", "--json")
    assert parse_json(dropped)["auth"] is None


async def test_a_health_check_ends_with_what_it_finds(perdure: Command) -> None:
    app = FastAPI()

    @app.post("/mcp")
    async def initialize(asked: dict[str, Any]) -> dict[str, Any]:
        server = {"name": "shop", "version": "1.2"}
        result = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": server}
        return {"jsonrpc": "2.0", "id": asked.get("id"), "result": result}

    async with serve_app(app) as url:
        ok(await perdure("mcp-servers", "create", "shop", "--url", f"{url}/mcp"))
        ok(await perdure("mcp-servers", "create", "gone", "--url", f"{url}/gone"))
        healthy = await perdure("mcp-servers", "health-check", "shop")
        unhealthy = await perdure("mcp-servers", "health-check", "gone")
    assert "1.2" in ok(healthy)
    assert (unhealthy.returncode, "404" in unhealthy.stdout) == (1, True)
    listed = ok(await perdure("mcp-servers", "list"))
    assert {"healthy", "unhealthy"} <= set(listed.split())


async def test_an_admin_sees_users_disables_one_and_gives_quotas(perdure: Command) -> None:
    root: dict[str, Any] = {"user": "root", "role": "admin"}
    assert "alice" in ok(await perdure("me"))
    hint = read_error(await perdure("admin", "users"))
    assert "admin role" in hint
    assert "perdure token --role admin" in hint
    assert "alice" in ok(await perdure("admin", "users", **root))
    ok(await perdure("admin", "quotas", "alice", "--at-once", "3", "--usd-per-day", "2.5", **root))
    quotas = ok(await perdure("me"))
    assert "0 of 3" in quotas
    assert "$0.0000 of $2.5000" in quotas
    assert "2.5" in ok(await perdure("admin", "get", "alice", **root))
    ok(await perdure("admin", "quotas", "alice", "--at-once", "default", **root))
    shown = parse_json(await perdure("admin", "get", "alice", "--json", **root))
    assert (shown["max_concurrent_executions"], shown["max_usd_per_day"]) == (None, 2.5)
    for wrong in (("--at-once", "many"), ()):
        assert "default" in read_error(await perdure("admin", "quotas", "alice", *wrong, **root))
    ok(await perdure("admin", "disable", shown["id"], **root))
    listed = parse_json(await perdure("admin", "users", "--disabled", "--json", **root))
    assert [user["subject"] for user in listed["items"]] == ["alice"]
    assert read_error(await perdure("me"))
    ok(await perdure("admin", "enable", "alice", **root))
    ok(await perdure("me"))
    assert "disable yourself" in read_error(await perdure("admin", "disable", "root", **root))
    assert "admin users" in read_error(await perdure("admin", "get", "unknown-user", **root))
    stats = ok(await perdure("admin", "stats", **root))
    assert "2, 0 disabled" in stats
    assert parse_json(await perdure("admin", "stats", "--json", **root))["users"] == 2


async def test_an_own_task_comes_before_shared_ones(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        own = await make_task(client, name="deploy")
    for user in ("bob", "carl"):
        async with world.client(user) as client:
            for name in ("deploy", "theirs"):
                theirs = await make_task(client, name=name, is_public=True)
    assert parse_json(await perdure("tasks", "get", "deploy", "--json"))["id"] == own["id"]
    assert theirs["id"] in read_error(await perdure("tasks", "get", "theirs"))


@pytest.mark.parametrize("group", ["hooks", "templates", "tool-groups", "mcp-servers", "admin"])
async def test_a_group_without_a_command_lists_its_commands(group: str, perdure: Command) -> None:
    assert "Commands" in (await perdure(group)).output


@pytest.mark.parametrize("command", ["executions get", "inbox get", "sessions get", "watch"])
async def test_what_is_no_id_is_refused_with_the_list_that_shows_them(
    command: str, perdure: Command
) -> None:
    assert " list` shows them" in read_error(await perdure(*command.split(), "123"))


async def test_a_refusal_names_the_field(perdure: Command) -> None:
    refusal = read_error(await perdure("tool-groups", "create", "looking", "reed_file"))
    assert refusal.splitlines() == [
        "The tool group is invalid:",
        "  tools.0: There is no tool 'reed_file'. Did you mean 'read_file'?",
    ]


async def test_the_inbox_opens_in_a_browser(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        asked = [await ask(world, await execute(client, await make_task(client)))]
    for arguments, page in (((), "/inbox"), (("last",), f"/inbox/{asked[0]}")):
        link = ok(await perdure("inbox", "open", *arguments)).strip()
        async with httpx2.AsyncClient(follow_redirects=True) as browser:
            form = dict(httpx2.URL(link).params)
            opened = await browser.post(f"{world.url}/sign-in", data=form)
        assert (opened.status_code, opened.url.path) == (200, page)
        assert "Which colour?" in opened.text
    assert f"perdure inbox open {asked[0]}" in ok(await perdure("inbox", "get", asked[0]))


async def test_a_request_is_commented_on_and_delegated(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        asked = await ask(world, await execute(client, await make_task(client)))
    assert "Assigned to bob." in ok(await perdure("inbox", "assign", asked, "bob"))
    ok(await perdure("inbox", "comment", "last", "Ask the team.", user="bob"))
    assert "bob: Ask the team." in ok(await perdure("inbox", "get", asked))


async def test_an_admin_checks_the_store_of_artifacts(world: World, perdure: Command) -> None:
    async with world.client("alice") as client:
        made = (await client.post("/api/v1/artifacts", json={"name": "a", "content": "x"})).json()
    check = ("admin", "check-artifacts")
    root = {"user": "root", "role": "admin"}
    assert "1 files (0.0 MiB) are intact" in ok(await perdure(*check, **root))
    await world.gateway.services.blobs.store.delete(made["sha256"])
    found = await perdure(*check, **root)
    assert found.returncode == 1
    assert f"a ({made['id']})" in found.stdout
    assert "1 of 1 files are damaged" in found.stderr
    assert "admin role" in read_error(await perdure(*check))
