"""What a new user wants first: each job is one command, which `--help` alone leads to."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from cli.tokens import mint
from tests.cli.conftest import StackCommand
from tests.cli.runner import Invocation, invoke
from tests.stack import Up

GREETS = """
name: greets
prompt_template: |
  Greet {{who}}.

  ```script
  - text: "Hello from turn {turn}."
  ```
"""
FAILS = """
name: fails
prompt_template: |
  ```script
  - error: {status: 400, type: invalid_request_error, message: "The model is on holiday."}
  ```
"""
ASKS = """
name: asks
ask_tools: [bash]
prompt_template: |
  ```script
  - tool_use: {name: bash, input: {command: "echo carefully"}}
  - text: "Done: {last_tool_result}"
  ```
"""
WAITING = 4


@pytest.fixture
def at_stack(stack: Up) -> StackCommand:
    """Run a command as an admin who has nothing yet."""
    secret = stack.home.jwt_secret_file.read_text().strip()
    token = mint(secret, user="newcomer", role="admin", lives=timedelta(hours=1))

    def run(*arguments: str) -> Invocation:
        return invoke(*arguments, PERDURE_HOME=str(stack.home.path), PERDURE_TOKEN=token)

    return run


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name, content in {"greets": GREETS, "fails": FAILS, "asks": ASKS}.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    return tmp_path


def find_in_help(command: str) -> None:
    """Follow the help to a command, then to the options that the line has."""
    path: list[str] = []
    for word in command.split():
        if not re.fullmatch(r"[a-z-]+", word) or word.startswith("-"):
            break
        listed = invoke(*path, "--help").stdout
        if f"\n  {word} " not in listed:
            assert path, f"`perdure --help` has no {word}"
            break
        path.append(word)
    shown = invoke(*path, "--help").stdout
    options = re.findall(r"(?<= )--?[a-z][a-z-]*", command)
    assert [option for option in options if option not in shown] == [], command


def test_fourteen_jobs_are_one_command_each(at_stack: StackCommand, files: Path) -> None:
    def do(command: str, *, code: int = 0) -> str:
        find_in_help(command)
        words = [word.strip("'") for word in re.findall(r"'[^']*'|[^ ]+", command)]
        result = at_stack(*words)
        assert result.returncode == code, (command, result.output)
        return result.output

    # 1 create, 2 run with variables, 3 cost
    do(f"tasks create -f {files}/greets.yaml")
    assert "Hello from turn 1." in do("run greets -v who=Ada")
    assert re.search(r"cost +\$0\.00\d+", do("executions get last"))
    # 4 why it failed, 5 retry
    do(f"run {files}/fails.yaml", code=1)
    failed = do("executions get last")
    assert "The model is on holiday." in failed
    assert "executions retry" in failed
    assert "The model is on holiday." in do("executions retry last", code=1)
    # 6 approve, 7 edit and approve
    for approve, printed in (
        ("inbox approve last", "carefully"),
        ('inbox approve last --input \'{"command":"echo quickly"}\'', "quickly"),
    ):
        do(f"run {files}/asks.yaml --leave", code=WAITING)
        do(approve)
        assert f"\n    {printed}" in do("watch last")
    # 8 schedule on weekdays in a zone, 9 pause
    do("schedules create greets --cron '0 9 * * 1-5' --zone Europe/Berlin")
    assert "09:00 CE" in do("schedules list")
    assert "paused" in do("schedules pause greets")
    # 10 a PDF of any run
    do(f"report last -o {files}/report.pdf")
    assert (files / "report.pdf").read_bytes().startswith(b"%PDF")
    # 11 invite and share
    assert "pdk_" in do("admin invite newcomers-friend")
    do("tasks share greets")
    # 12 rotate a key
    key = do("api-keys create ci").split()[0]
    assert key != do("api-keys rotate ci").split()[0]
    # 13 what failed, by day
    yesterdays = "executions list --status failed --since yesterday --to today"
    assert "Nothing matches" in do(yesterdays)
    assert do("executions list --status failed --since today -o id").count("\n") == 2
    # 14 cancel everything
    do(f"run {files}/asks.yaml --detach")
    assert "1 cancelled" in do("executions cancel --all --yes")
