"""What a new user does first, with one command each; and what the command line asks and refuses."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cli.stack.home import Home, HomeError
from domain.ids import new_id
from tests.api.world import World, ask, execute, give_session, make_task
from tests.cli.conftest import Command
from tests.cli.runner import Invocation, invoke, parse_json
from tests.stack import PERDURE, environment


def ok(result: Invocation) -> str:
    assert result.returncode == 0, result.output
    return result.stdout


def read_error(result: Invocation) -> str:
    assert result.returncode == 2, result.output
    return result.stderr


async def get_task(perdure: Command, name: str) -> dict[str, Any]:
    task: dict[str, Any] = parse_json(await perdure("tasks", "get", name, "-o", "json"))
    return task


async def test_a_task_is_changed_shared_and_scheduled(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        made = await make_task(client, name="nightly report")
    ok(await perdure("tasks", "update", "nightly report", "--set", "sdk_options.max_turns:=7"))
    ok(await perdure("tasks", "share", made["id"][:18]))
    ok(await perdure("schedules", "create", "nightly report", "--cron", "0 9 * * 1-5"))
    zone = ("--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--catchup-window-seconds", "600")
    assert "Europe/Berlin" in ok(await perdure("schedules", "create", "nightly report", *zone))
    task = await get_task(perdure, "nightly report")
    assert (task["sdk_options"]["max_turns"], task["is_public"]) == (7, True)
    assert (task["schedule_cron"], task["schedule_enabled"]) == ("30 2 * * *", True)
    assert task["schedule_catchup_window_seconds"] == 600
    assert "02:30 CE" in ok(await perdure("schedules", "list"))
    assert "paused" in ok(await perdure("schedules", "pause", "nightly report"))
    ok(await perdure("schedules", "delete", "nightly report"))
    ok(await perdure("tasks", "unshare", "nightly report"))
    task = await get_task(perdure, "nightly report")
    assert (task["is_scheduled"], task["is_public"]) == (False, False)
    assert "Give what to change" in read_error(await perdure("tasks", "update", "nightly report"))
    typo = await perdure("tasks", "update", "nightly report", "--set", "descripton=x")
    assert "did you mean 'description'" in read_error(typo)


async def test_a_misspelled_task_is_refused_with_the_one_that_is_meant(
    perdure: Command, world: World
) -> None:
    async with world.client("alice") as client:
        await make_task(client, name="nightly report")
    assert "Did you mean 'nightly report'?" in read_error(await perdure("run", "nightly reprot"))


async def test_executions_are_selected_by_time_task_and_tag_and_cancelled(
    perdure: Command, world: World
) -> None:
    async with world.client("alice") as client:
        task = await make_task(client, name="cleanup", tags=["night"])
        first, second, third = [(await execute(client, task))["id"] for _ in range(3)]
        other = (await execute(client, await make_task(client, name="other")))["id"]
    listed = ok(await perdure("executions", "list", "--task", "cleanup", "-o", "id")).split()
    assert set(listed) == {first, second, third}
    assert "Nothing matches" in ok(await perdure("executions", "list", "--to", "yesterday"))
    since = await perdure("executions", "list", "--since", "1h", "--json")
    assert len(parse_json(since)["items"]) == 4
    both = read_error(await perdure("executions", "cancel", first, "--all"))
    assert "Give ids, or select" in both
    unconfirmed = await perdure("executions", "cancel", "--tag", "night")
    assert "Cancel 3 executions? Add --yes." in read_error(unconfirmed)
    assert ok(await perdure("executions", "cancel", first)).split() == [first]
    by_task = await perdure("executions", "cancel", "--task", "cleanup", "--yes")
    assert set(ok(by_task).split()) == {second, third}
    assert ok(await perdure("executions", "cancel", "--all", "-y")).split() == [other]
    assert "0 cancelled" in (await perdure("executions", "cancel", "--all", "-y")).stderr


async def test_ids_are_given_by_their_beginnings(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        made = await execute(client, await make_task(client))
    shown = await perdure("executions", "get", made["id"][:18], "--json")
    assert parse_json(shown)["id"] == made["id"]
    assert "id: " + made["id"] in ok(await perdure("executions", "get", "last", "-o", "yaml"))
    assert "is no id" in read_error(await perdure("executions", "get", "ffffffff-ffff"))
    assert "a worker with a free slot" in ok(await perdure("executions", "get", "last"))
    ok(await perdure("queue", "add", "Choose a cover."))
    assert "queue claim" in ok(await perdure("executions", "get", "last"))


async def test_a_person_approves_edits_and_denies(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        execution = await execute(client, await make_task(client))
        await give_session(world, execution, "waiting_for_user")
        asked = await ask(world, execution)
    assert "waits for" in ok(await perdure("executions", "get", execution["id"]))
    ok(await perdure("inbox", "deny", asked[:18], "Not today."))
    answered = parse_json(await perdure("inbox", "get", asked, "--json"))
    assert (answered["status"], answered["answer"]["decision"]) == ("answered", "deny")


async def test_keys_are_rotated_and_users_invited(perdure: Command) -> None:
    old = ok(await perdure("api-keys", "create", "ci")).strip()
    new = ok(await perdure("api-keys", "rotate", "ci")).strip()
    assert new.startswith("pdk_")
    assert new != old
    subject = f"grace {new_id()}"
    invited = await perdure("admin", "invite", subject, role="admin", user="root")
    assert ok(invited).strip().startswith("pdk_")
    assert "--api-url http://" in invited.stderr
    users = ("admin", "users", "-o", "json")
    assert subject in ok(await perdure(*users, "--since", "1h", role="admin", user="root"))
    assert subject not in ok(await perdure(*users, "--to", "yesterday", role="admin", user="root"))
    assert "admin" in read_error(await perdure("admin", "invite", subject))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("tasks show x", "perdure tasks get"),
        ("sessions new", "perdure sessions create"),
        ("executions cancle x", "perdure executions cancel"),
        ("taks list", "perdure tasks"),
    ],
)
def test_other_verbs_are_refused_with_ours(words: str, hint: str, tmp_path: Path) -> None:
    result = invoke(*words.split(), PERDURE_HOME=str(tmp_path))
    assert f"`{hint}`" in read_error(result)


def test_profiles_name_gateways(tmp_path: Path) -> None:
    environment = {"PERDURE_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")}
    closed = "http://127.0.0.1:9"
    added = invoke("profile", "add", "far", "--api-url", closed, typed="a-token\n", **environment)
    ok(added)
    [file] = (tmp_path / "config" / "perdure").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert "a-token" not in invoke("profile", "list", "--json", **environment).output
    assert closed in invoke("tasks", "list", **environment).stderr
    for token in ({}, {"PERDURE_TOKEN": ""}):
        other = invoke("--api-url", "http://127.0.0.1:10", "tasks", "list", **environment, **token)
        assert "the profile far has a token for http://127.0.0.1:9" in other.stderr
    stray = read_error(invoke("tasks", "list", **environment, PERDURE_TOKEN="of another gateway"))
    assert f"PERDURE_TOKEN may be for another gateway than {closed}" in stray
    assert closed in invoke("--token", "t", "tasks", "list", **environment).stderr
    assert "No Perdure runs" in invoke("--profile", "local", "tasks", "list", **environment).stderr
    assert "no profile 'fra'" in read_error(
        invoke("--profile", "fra", "tasks", "list", **environment)
    )
    ok(invoke("profile", "use", "local", **environment))
    assert "No Perdure runs" in invoke("tasks", "list", **environment).stderr
    ok(invoke("profile", "use", "far", **environment))
    assert "no profile 'fra'" in read_error(invoke("profile", "use", "fra", **environment))
    exported = {"PERDURE_API_URL": "http://127.0.0.1:10", "PERDURE_TOKEN": "of another gateway"}
    named = invoke("--profile", "far", "tasks", "list", **environment, **exported)
    assert closed in named.stderr
    ok(invoke("profile", "delete", "far", **environment))
    assert json.loads(file.read_text()) == {"current": None, "profiles": {}}


def test_the_address_of_a_gateway_is_a_url(tmp_path: Path) -> None:
    result = invoke("--api-url", "example.com", "tasks", "list", PERDURE_HOME=str(tmp_path))
    assert "begins with http:// or https://: example.com" in read_error(result)


def test_a_home_that_is_no_directory_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = invoke("tasks", "list", PERDURE_HOME=str(file))
    assert f"{file} can't be used: Not a directory. Set PERDURE_HOME" in read_error(result)
    with pytest.raises(HomeError, match="Set PERDURE_HOME"):
        Home.open(file)
    with pytest.raises(HomeError, match="Set PERDURE_HOME"):
        Home.open(file / "home")


def test_a_home_without_logs_is_named(tmp_path: Path) -> None:
    result = invoke("logs", PERDURE_HOME=str(tmp_path))
    assert f"There are no logs in {tmp_path / 'logs'}" in read_error(result)


def test_mcp_without_a_client_says_how_to_add_it(tmp_path: Path) -> None:
    result = subprocess.run(
        [PERDURE, "mcp"],
        env=environment(tmp_path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "run: claude mcp add perdure -- " in result.stderr


def test_a_database_that_does_not_answer_is_named(tmp_path: Path) -> None:
    closed = "postgresql://user@127.0.0.1:9/perdure"
    result = invoke("migrate", PERDURE_HOME=str(tmp_path), PERDURE_DATABASE_URL=closed)
    assert "correct PERDURE_DATABASE_URL" in read_error(result)


async def test_a_directory_is_not_run(perdure: Command, tmp_path: Path) -> None:
    assert f"`perdure apply -f {tmp_path}`" in read_error(await perdure("run", str(tmp_path)))


def test_unknown_variables_are_named(tmp_path: Path) -> None:
    result = invoke("tasks", "list", PERDURE_HOME=str(tmp_path), PERDURE_TOKN="t")
    assert "PERDURE_TOKN is not a setting; did you mean PERDURE_TOKEN?" in result.stderr


@pytest.mark.parametrize("command", ["down", "status", "logs"])
def test_where_nothing_runs_the_stack_commands_say_so(command: str, tmp_path: Path) -> None:
    result = invoke(command, PERDURE_HOME=str(tmp_path))
    assert result.returncode == (2 if command == "logs" else 3)
    assert str(tmp_path) in result.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion_script(shell: str, tmp_path: Path) -> None:
    script = ok(invoke("completion", shell, PERDURE_HOME=str(tmp_path)))
    assert "_PERDURE_COMPLETE" in script
