"""Commands that need no running stack."""

import json
import socket
from pathlib import Path

from tests.cli.running import json_of, perdure


def test_help_names_every_command(tmp_path: Path) -> None:
    text = perdure(tmp_path, "--help").stdout
    commands = "up worker api migrate run watch tasks executions inbox token doctor config demo"
    assert [name for name in commands.split() if f" {name} " not in text] == []


def test_the_version_is_told(tmp_path: Path) -> None:
    assert perdure(tmp_path, "--version").stdout.startswith("perdure 0.")


def test_a_wrong_command_is_a_usage_error(tmp_path: Path) -> None:
    assert perdure(tmp_path, "no-such-command").returncode == 2


def test_config_shows_every_setting_and_no_secret(tmp_path: Path) -> None:
    result = perdure(
        tmp_path,
        "config",
        "--json",
        PERDURE_JWT_SECRET="hidden-one, of thirty-two bytes or more",
        PERDURE_DATABASE_URL="postgresql://me:hidden-two@db.example:5432/perdure",
    )
    settings = json_of(result)
    assert settings["PERDURE_JWT_SECRET"] == "********"
    assert settings["PERDURE_DATABASE_URL"] == "postgresql://me:********@db.example:5432/perdure"
    assert settings["PERDURE_HOME"] == str(tmp_path)
    assert settings["PERDURE_API_PORT"] == 8000
    assert "hidden" not in result.stdout + perdure(tmp_path, "config").stdout


def test_what_a_command_lacks_is_said_and_no_traceback(tmp_path: Path) -> None:
    for command in (("api",), ("migrate",), ("up", "--api-port", "99999")):
        result = perdure(tmp_path, *command)
        assert result.returncode == 2
        assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_named_as_its_variable(tmp_path: Path) -> None:
    result = perdure(tmp_path, "config", PERDURE_API_PORT="eight")
    assert result.returncode == 2
    assert result.stderr.startswith("perdure: PERDURE_API_PORT: ")


def test_without_a_stack_a_client_command_says_how_to_start_one(tmp_path: Path) -> None:
    result = perdure(tmp_path, "tasks", "list")
    assert result.returncode == 3
    assert "perdure up" in result.stderr
    assert "PERDURE_API_URL" in result.stderr


def test_a_gateway_that_does_not_answer_is_exit_code_3(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, never listening: connections are refused
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for command in (("executions", "list"), ("watch", "01a1fc50-d44d-743d-9730-460515754882")):
            result = perdure(tmp_path, "--api-url", address, "--token", "t", *command)
            assert result.returncode == 3
            assert address in result.stderr


def test_doctor_finds_what_a_key_is_for(tmp_path: Path) -> None:
    found = {finding["name"]: finding for finding in json_of(perdure(tmp_path, "doctor", "--json"))}
    assert found["postgres"]["state"] == "ok"
    assert found["temporal"]["state"] == "ok"
    assert found["model"]["state"] == "hint"
    assert "ANTHROPIC_API_KEY" in found["model"]["mend"]
    with_key = json.loads(perdure(tmp_path, "doctor", "--json", ANTHROPIC_API_KEY="k").stdout)
    assert {finding["name"]: finding["state"] for finding in with_key}["model"] == "ok"


def test_doctor_names_a_taken_port_and_the_option(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = perdure(tmp_path, "doctor", PERDURE_API_PORT=port)
    assert result.returncode == 1
    assert f"port {port}" in result.stdout
    assert "--api-port" in result.stdout


def test_migrate_without_a_database_says_what_to_set(tmp_path: Path) -> None:
    result = perdure(tmp_path, "migrate")
    assert result.returncode == 2
    assert "PERDURE_DATABASE_URL" in result.stderr


async def test_migrate_may_run_again(tmp_path: Path, database_url: str) -> None:
    for _ in range(2):
        result = perdure(tmp_path, "migrate", PERDURE_DATABASE_URL=database_url)
        assert result.returncode == 0, result.stderr
        assert "revision" in result.stdout
