"""Commands that need no running stack."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from cli.main import app
from tests.cli.runner import Invocation, invoke, parse_json
from tests.stack import perdure


def walk(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Every command with its words, groups included."""
    yield " ".join(path), command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, *path, name)


COMMANDS = dict(walk(typer.main.get_command(app)))


def run(home: Path, *arguments: str, **more: str) -> Invocation:
    """A command of a user who has set nothing but PERDURE_HOME and `more`."""
    return invoke(*arguments, PERDURE_HOME=str(home), **more)


def test_the_commands_of_the_documents_are_there() -> None:
    assert len(COMMANDS) > 100
    words = "up worker api migrate run watch tasks executions inbox token doctor config demo"
    assert set(words.split()) <= COMMANDS.keys()


@pytest.mark.parametrize("words", COMMANDS)
def test_help_names_every_option_and_subcommand(words: str, tmp_path: Path) -> None:
    command = COMMANDS[words]
    shown = run(tmp_path, *words.split(), "--help", COLUMNS="300")
    assert shown.returncode == 0, shown.stderr
    children = getattr(command, "commands", {}).values()
    names = [child.name for child in children if not child.hidden]
    names += [name for parameter in command.params for name in parameter.opts if "--" in name]
    assert [name for name in names if name not in shown.stdout] == []
    assert all(child.help for child in children)


def test_the_version_is_printed(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout.startswith("perdure 0.")


def test_a_wrong_command_is_a_usage_error(tmp_path: Path) -> None:
    assert run(tmp_path, "no-such-command").returncode == 2


def test_config_shows_every_setting_and_no_secret(tmp_path: Path) -> None:
    result = run(
        tmp_path,
        "config",
        "--json",
        PERDURE_JWT_SECRET="hidden-one, of thirty-two bytes or more",
        PERDURE_DATABASE_URL="postgresql://me:hidden-two@db.example:5432/perdure",
    )
    settings = parse_json(result)
    assert settings["PERDURE_JWT_SECRET"] == "********"
    assert settings["PERDURE_DATABASE_URL"] == "postgresql://me:********@db.example:5432/perdure"
    assert settings["PERDURE_HOME"] == str(tmp_path)
    assert settings["PERDURE_API_PORT"] == 8000
    assert "hidden" not in result.stdout + run(tmp_path, "config").stdout


def test_a_wrong_option_is_reported_without_a_traceback(tmp_path: Path) -> None:
    result = perdure(tmp_path, "up", "--api-port", "99999")
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_named_as_its_variable(tmp_path: Path) -> None:
    result = run(tmp_path, "config", PERDURE_API_PORT="eight")
    assert result.returncode == 2
    assert result.stderr.startswith("perdure: PERDURE_API_PORT: ")


def test_without_a_stack_a_client_command_says_how_to_start_one(tmp_path: Path) -> None:
    result = run(tmp_path, "tasks", "list")
    assert result.returncode == 3
    assert "perdure up" in result.stderr
    assert "PERDURE_API_URL" in result.stderr


def test_a_gateway_that_does_not_answer_is_exit_code_3(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for command in (("executions", "list"), ("watch", "01a1fc50-d44d-743d-9730-460515754882")):
            result = run(tmp_path, "--api-url", address, "--token", "t", *command)
            assert result.returncode == 3
            assert address in result.stderr


def test_doctor_finds_what_a_key_is_for(tmp_path: Path) -> None:
    found = {finding["name"]: finding for finding in parse_json(run(tmp_path, "doctor", "--json"))}
    assert found["postgres"]["state"] == "ok"
    assert found["temporal"]["state"] == "ok"
    assert found["model"]["state"] == "hint"
    assert "ANTHROPIC_API_KEY" in found["model"]["fix"]
    as_yaml = yaml.safe_load(run(tmp_path, "doctor", "-o", "yaml").stdout)
    assert {finding["name"]: finding["state"] for finding in as_yaml}["model"] == "hint"
    with_key = parse_json(run(tmp_path, "doctor", "--json", ANTHROPIC_API_KEY="k"))
    assert {finding["name"]: finding["state"] for finding in with_key}["model"] == "ok"


def test_doctor_names_a_default_model_that_is_retired(tmp_path: Path) -> None:
    shown = parse_json(run(tmp_path, "doctor", "--json", PERDURE_MODEL="claude-mythos-preview"))
    found = {finding["name"]: finding for finding in shown}
    assert found["default model"]["state"] == "hint"
    assert "claude-mythos-preview is retired" in found["default model"]["what"]
    assert "PERDURE_MODEL" in found["default model"]["fix"]


def test_doctor_names_a_taken_port_and_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = run(tmp_path, "doctor", PERDURE_API_PORT=port)
    assert result.returncode == 1
    assert f"problem  port {port}: in use by process {os.getpid()} (" in result.stdout
    assert "--api-port" in result.stdout


def test_migrate_without_a_database_says_what_to_set(tmp_path: Path) -> None:
    result = run(tmp_path, "migrate")
    assert result.returncode == 2
    assert "PERDURE_DATABASE_URL" in result.stderr


async def test_migrate_may_run_again(tmp_path: Path, database_url: str) -> None:
    for _ in range(2):
        result = await asyncio.to_thread(
            run, tmp_path, "migrate", PERDURE_DATABASE_URL=database_url
        )
        assert result.returncode == 0, result.stderr
        assert "revision" in result.stdout
