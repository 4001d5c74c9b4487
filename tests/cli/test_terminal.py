"""`perdure run` on a real terminal: its prompts are visible, and Ctrl-C leaves the task running."""

import os
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import StackCommand
from tests.cli.pseudo_terminal import terminal
from tests.cli.runner import parse_json
from tests.cli.test_live_updates import DELEGATES
from tests.stack import Up

APPROVES_AND_ASKS = """
name: approves and asks
allowed_tools: [ask_user]
ask_tools: [bash]
prompt_template: |
  ```script
  - text: First a command.
    tool_use: {name: bash, input: {command: "echo ':smile: [red]x[/]'"}}
  - text: Now a question.
    tool_use: {name: ask_user, input: {question: "Which colour?", options: [red, blue]}}
  - text: '{"colour": "{last_tool_result}", "line": "WORDS"}'
  ```
""".replace("WORDS", "words " * 40)


@pytest.fixture
def task_file(tmp_path: Path) -> str:
    file = tmp_path / "task.yaml"
    file.write_text(APPROVES_AND_ASKS)
    return str(file)


def test_prompts_are_visible_and_the_result_is_byte_for_byte(
    stack: Up, stack_environment: dict[str, str], tmp_path: Path, task_file: str
) -> None:
    output = tmp_path / "result.json"
    with terminal(stack, stack_environment, output, "run", task_file) as shown:
        before = shown.read_until("Approve? [y/N]:")
        assert "execution  " in before
        assert "echo ':smile: [red]x[/]'" in before
        assert shown.is_quiet()
        shown.type("?\n")
        shown.read_until("Write y for yes, or n for no.")
        shown.read_until("Approve? [y/N]:")
        shown.type("y\n")
        assert "Which colour?" in shown.read_until("Your answer:")
        assert shown.is_quiet()
        shown.type("2\n")
        assert shown.end() == 0
        assert "completed" in shown.shown
    text = '{"colour": "blue", "line": "' + "words " * 40 + '"}\n'
    assert output.read_text() == text


@pytest.mark.parametrize("watch", [True, False])
def test_ctrl_c_leaves_the_execution_running(
    stack: Up,
    stack_environment: dict[str, str],
    at_stack: StackCommand,
    tmp_path: Path,
    task_file: str,
    *,
    watch: bool,
) -> None:
    started = parse_json(at_stack("run", task_file, "--detach", "--json"))
    arguments = ("watch", started["id"]) if watch else ("run", task_file)
    with terminal(stack, stack_environment, tmp_path / "out", *arguments) as shown:
        shown.read_until("Approve? [y/N]:")
        os.killpg(shown.process.pid, signal.SIGINT)
        shown.read_until("Detached. It keeps running: ")
        commands = shown.read_until("perdure executions cancel ")
        assert shown.end() == 130
        execution_id = shown.shown.strip()
    assert f"perdure watch {execution_id}" in commands
    assert watch == (execution_id == started["id"])
    for one in {execution_id, started["id"]}:
        shown_now = parse_json(at_stack("executions", "get", one, "--json"))
        assert shown_now["status"] == "waiting_for_user"
        at_stack("executions", "cancel", one)


def test_a_budget_is_raised_at_the_terminal(
    stack: Up, stack_environment: dict[str, str], tmp_path: Path
) -> None:
    file, output = tmp_path / "task.yaml", tmp_path / "result.txt"
    file.write_text(
        "name: short of money\nprompt_template: Go.\nsdk_options: {max_budget_usd: 0.01}"
    )
    with terminal(stack, stack_environment, output, "run", str(file)) as shown:
        assert "The budget is used up" in shown.read_until("Decision [approve | deny | finish]:")
        shown.type("approve\n")
        shown.read_until("New budget in USD:")
        shown.type("more\n")
        shown.read_until("Write an amount, for example 2.50.")
        shown.read_until("New budget in USD:")
        shown.type("5\n")
        assert shown.end() == 0
        assert "completed" in shown.shown


def test_the_question_of_a_subtask_is_asked_at_the_terminal(
    stack: Up, stack_environment: dict[str, str], tmp_path: Path
) -> None:
    file, output = tmp_path / "task.yaml", tmp_path / "result.txt"
    file.write_text(DELEGATES)
    with terminal(stack, stack_environment, output, "run", str(file)) as shown:
        assert "Which colour?" in shown.read_until("Your answer:")
        shown.type("blue\n")
        assert shown.end() == 0
    assert output.read_text() == "The subtask says: It is settled.\n"
