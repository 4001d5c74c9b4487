"""`run`, `watch`, `inbox` and the lists against a real stack with the scripted model."""

import json
import os
import signal
from pathlib import Path
from typing import Any

from tests.cli.conftest import StackCommand
from tests.cli.runner import Invocation, parse_json
from tests.stack import READY_SECONDS, Up, start
from tests.waiting import until

SAYS_HELLO = """
name: hello
prompt_template: |
  Greet {{who}}.

  ```script
  - text: "Hello from turn {turn}."
  ```
"""
ASKS = """
name: asks
allowed_tools: [ask_user]
prompt_template: |
  ```script
  - text: I have to ask.
    tool_use: {name: ask_user, input: {question: "Which colour?", options: [red, blue]}}
  - text: "The answer is {last_tool_result}."
  ```
"""
REFUSES = """
name: fails
prompt_template: |
  ```script
  - error: {status: 400, type: invalid_request_error, message: no}
  ```
"""


def task_file(directory: Path, content: str) -> str:
    file = directory / "task.yaml"
    file.write_text(content)
    return str(file)


def event_lines(result: Invocation) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_file_is_run_to_its_end_and_its_text_printed(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    file = task_file(tmp_path, SAYS_HELLO)
    result = at_stack("run", file, "-v", "who=Ada", "-v", "unknown=1")
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "Hello from turn 1."
    assert "does not use these variables: unknown. It has the variables who." in result.stderr
    assert "completed" in result.stderr


def test_an_unchanged_file_keeps_its_tasks_version_and_a_changed_one_does_not(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    def version_after(content: str) -> tuple[str, int]:
        file = task_file(tmp_path, content)
        execution = parse_json(at_stack("run", file, "--allow-missing", "--json"))
        return execution["task_id"], execution["task_version"]

    task_id, version = version_after(SAYS_HELLO)
    assert version_after(SAYS_HELLO) == (task_id, version)
    assert version_after(SAYS_HELLO + "  More.\n") == (task_id, version + 1)


def test_a_task_is_run_by_its_name_with_variables(at_stack: StackCommand, tmp_path: Path) -> None:
    at_stack("tasks", "create", "-f", task_file(tmp_path, SAYS_HELLO))
    result = at_stack("run", "hello", "-v", "who=Ada", "-v", "n:=3", "--json")
    assert result.returncode == 0, result.stderr
    execution = parse_json(result)
    assert execution["status"] == "completed"
    assert execution["prompt_variables"] == {"who": "Ada", "n": 3}


def test_a_fork_before_the_first_turn_has_other_variables(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    run = at_stack("run", task_file(tmp_path, SAYS_HELLO), "-v", "who=Ada", "--json")
    forks = ("executions", "fork", parse_json(run)["id"], "--at-turn", "0")
    forked = at_stack(*forks, "-v", "who=Bob", "--json")
    assert parse_json(forked)["prompt_variables"] == {"who": "Bob"}


def test_watch_prints_the_timeline_in_order(at_stack: StackCommand, tmp_path: Path) -> None:
    result = at_stack("run", task_file(tmp_path, SAYS_HELLO), "-v", "who=Ada", "--watch")
    assert result.returncode == 0, result.stderr
    timeline = result.stdout
    assert timeline.index("turn 1") < timeline.index("Hello from turn 1.")
    assert timeline.count("Hello from turn 1.") == 1


def test_watch_as_json_is_every_event_once_and_the_execution_last(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    file = task_file(tmp_path, SAYS_HELLO)
    *events, execution = event_lines(at_stack("run", file, "-v", "who=Ada", "--watch", "--json"))
    sequence = [event["seq"] for event in events if event["seq"] is not None]
    assert sequence == list(range(1, len(sequence) + 1))
    assert events[-1]["type"] == "execution.completed"
    assert execution["status"] == "completed"


def test_an_execution_that_fails_is_exit_code_1_and_says_why(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    result = at_stack("run", task_file(tmp_path, REFUSES))
    assert result.returncode == 1
    assert "model_" in result.stderr


def test_without_a_terminal_the_exit_code_is_4_and_the_inbox_answers(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    waiting = at_stack("run", task_file(tmp_path, ASKS), "--json")
    assert waiting.returncode == 4, waiting.stderr
    execution = parse_json(waiting)
    page = parse_json(at_stack("inbox", "list", "--json"))
    request = next(r for r in page["items"] if r["execution_id"] == execution["id"])
    assert "Which colour?" in at_stack("inbox").stdout
    answered = at_stack("inbox", "answer", request["id"], "2")
    assert answered.returncode == 0, answered.stderr
    followed = at_stack("watch", execution["id"])
    assert followed.returncode == 0, followed.stderr
    assert "The answer is blue." in followed.stdout
    again = at_stack("inbox", "answer", request["id"], "1")
    assert again.returncode == 2


def test_lists_show_names_as_they_are_one_line_each(at_stack: StackCommand, tmp_path: Path) -> None:
    name = "[/red] closes a tag that is not open"
    file = task_file(tmp_path, SAYS_HELLO.replace("name: hello", f"name: '{name}'"))
    execution = parse_json(at_stack("run", file, "-v", "who=Ada", "--json"))
    for command, id_ in (("tasks", execution["task_id"]), ("executions", execution["id"])):
        result = at_stack(command, "list")
        line = next(line for line in result.stdout.splitlines() if id_ in line)
        assert name in line, result.stderr


def test_the_inbox_shows_all_that_is_asked(at_stack: StackCommand, tmp_path: Path) -> None:
    waiting = parse_json(at_stack("run", task_file(tmp_path, ASKS), "--json"))
    page = parse_json(at_stack("inbox", "list", "--json"))
    request = next(r for r in page["items"] if r["execution_id"] == waiting["id"])
    shown = at_stack("inbox", "get", request["id"]).stdout
    assert [word for word in ("Which colour?", "1. red", "2. blue") if word not in shown] == []
    at_stack("executions", "cancel", waiting["id"])


def test_watching_continues_after_a_gateway_died(
    stack: Up, stack_environment: dict[str, str], at_stack: StackCommand, tmp_path: Path
) -> None:
    waiting = parse_json(at_stack("run", task_file(tmp_path, ASKS), "--json"))
    output = tmp_path / "watch.out"
    with output.open("wb") as file:
        arguments = ("watch", waiting["id"], "--json", "--stay")
        watch = start(stack.home.path, *arguments, output=file, more=stack_environment)
    until(lambda: "input.requested" in output.read_text(), what="the question")
    before = stack.facts()["pids"]["api"]
    os.kill(before, signal.SIGKILL)
    until(lambda: stack.facts()["pids"]["api"] not in {before, None}, what="the gateway")
    page = parse_json(at_stack("inbox", "list", "--json"))
    request = next(r for r in page["items"] if r["execution_id"] == waiting["id"])
    at_stack("inbox", "answer", request["id"], "red")
    assert watch.wait(READY_SECONDS) == 0
    printed = [json.loads(line) for line in output.read_text().splitlines()]  # and nothing else
    sequence = [event["seq"] for event in printed if event.get("seq")]
    assert sequence == list(range(1, len(sequence) + 1))


def test_a_cancelled_execution_is_exit_code_1(at_stack: StackCommand, tmp_path: Path) -> None:
    waiting = parse_json(at_stack("run", task_file(tmp_path, ASKS), "--json"))
    cancelled = at_stack("executions", "cancel", waiting["id"], "--reason", "enough")
    assert cancelled.returncode == 0, cancelled.stderr
    followed = at_stack("watch", waiting["id"], "--stay")
    assert followed.returncode == 1
    shown = parse_json(at_stack("executions", "get", waiting["id"], "--json"))
    assert shown["status"] == "cancelled"


def test_lists_and_details_are_there_for_people_and_programs(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    execution = parse_json(
        at_stack("run", task_file(tmp_path, SAYS_HELLO), "-v", "who=A", "--json")
    )
    listed = at_stack("executions", "list")
    assert execution["id"] in listed.stdout
    assert "hello" in at_stack("tasks", "list").stdout
    assert "Greet" in at_stack("tasks", "get", "hello").stdout
    assert "Hello from" in at_stack("executions", "messages", execution["id"]).stdout
    calls = at_stack("executions", "tool-calls", execution["id"])
    assert "No tool was called." in calls.stdout
    calls = at_stack("executions", "model-calls", execution["id"])
    assert "end_turn" in calls.stdout
    kept = at_stack("executions", "artifacts", execution["id"])
    assert "It kept no files." in kept.stdout
    assert "# " in at_stack("report", execution["id"]).stdout  # it is created now
    used = at_stack("executions", "memory", execution["id"])
    assert "It used no memory." in used.stdout
    refused = at_stack("tasks", "show", "hello")
    assert (refused.returncode, "perdure tasks get" in refused.stderr) == (2, True)
    assert parse_json(at_stack("executions", "list", "--json"))["items"]


def test_a_deleted_task_is_gone(at_stack: StackCommand, tmp_path: Path) -> None:
    content = SAYS_HELLO.replace("name: hello", "name: short-lived")
    at_stack("tasks", "create", "-f", task_file(tmp_path, content))
    assert at_stack("tasks", "delete", "short-lived").returncode == 0
    gone = at_stack("run", "short-lived")
    assert gone.returncode == 2
    assert "short-lived" in gone.stderr


def test_a_refusal_names_the_field(at_stack: StackCommand, tmp_path: Path) -> None:
    wrong = SAYS_HELLO + "report_format: paper\n"
    result = at_stack("run", task_file(tmp_path, wrong))
    assert result.returncode == 2
    assert "report_format" in result.stderr


def test_a_token_of_another_secret_is_refused(at_stack: StackCommand) -> None:
    result = at_stack("--token", "not-a-token", "tasks", "list")
    assert result.returncode == 2


def test_doctor_looks_at_the_running_stack(stack: Up, at_stack: StackCommand) -> None:
    found = {f["name"]: f for f in parse_json(at_stack("doctor", "--json"))}
    assert found["stack"]["state"] == "ok"
    assert stack.facts()["api_url"] in found["stack"]["what"]
    assert "scripted model" in found["model"]["what"]


def test_the_demo_uses_the_stack_that_runs(stack: Up, at_stack: StackCommand) -> None:
    result = at_stack("demo")
    assert result.returncode == 0, result.stdout + result.stderr
    for words in ("scripted model", "⚙ bash", "you answer: Saturday", "subtask", "what happened"):
        assert words in result.stdout
    assert stack.process.poll() is None


def test_a_directory_of_tasks_is_applied_once_and_exported_again(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    files = tmp_path / "tasks"
    files.mkdir()
    (files / "a.yaml").write_text("name: kept as yaml\nprompt_template: One.\ntags: [files]\n")
    (files / "b.md").write_text("---\nname: kept as markdown\n---\n\nTwo {{ x }}.\n")

    def changes(*options: str) -> dict[str, str]:
        applied = parse_json(at_stack("apply", "-f", str(files), "--json", *options))
        return {line["key"]: line["change"] for line in applied}

    fresh = {"kept as yaml": "create", "kept as markdown": "create"}
    assert changes("--dry-run") == fresh
    assert changes() == fresh
    assert set(changes().values()) == {"unchanged"}

    (files / "a.yaml").write_text("name: kept as yaml\nprompt_template: Three.\n")
    shown = at_stack("apply", "-f", str(files), "--dry-run")
    assert "-prompt_template: One." in shown.stdout
    assert "-tags:" in shown.stdout
    assert "+prompt_template: Three." in shown.stdout
    assert changes() == {"kept as yaml": "update", "kept as markdown": "unchanged"}
    task = parse_json(at_stack("tasks", "get", "kept as yaml", "--json"))
    assert (task["prompt_template"], task["tags"], task["version"]) == ("Three.", [], 2)

    out = tmp_path / "out"
    at_stack("export", "-o", str(out))
    assert (out / "tasks/kept-as-markdown.md").read_text() == (
        "---\nname: kept as markdown\n---\n\nTwo {{ x }}.\n"
    )
    everything = parse_json(at_stack("apply", "-f", str(out), "--json"))
    assert {line["change"] for line in everything} == {"unchanged"}


def test_what_the_gateway_refuses_stops_nothing_else(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("name: good one\nprompt_template: x\n")
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: bad one\nprompt_template: x\nallowed_tools: [ssh]\n")
    applied = at_stack("apply", "-f", str(tmp_path))
    assert applied.returncode == 2
    assert "ssh" in applied.stderr
    assert "created  task good one" in applied.stdout


def test_a_key_is_made_used_listed_and_revoked(at_stack: StackCommand) -> None:
    made = at_stack("api-keys", "create", "deploys", "--days", "90")
    secret = made.stdout.strip()
    assert made.returncode == 0, made.stderr
    assert secret.startswith("pdk_")
    assert "again" in made.stderr
    listed = parse_json(at_stack("api-keys", "list", "--json"))["items"]
    key = next(item for item in listed if item["name"] == "deploys")
    assert secret.startswith(key["prefix"])
    assert "secret" not in key
    assert "deploys" in at_stack("api-keys", "list").stdout
    assert at_stack("--token", secret, "tasks", "list").returncode == 0
    assert at_stack("--token", secret, "api-keys", "create", "more").returncode == 2
    assert at_stack("api-keys", "revoke", key["id"]).returncode == 0
    refused = at_stack("--token", secret, "tasks", "list")
    assert (refused.returncode, "revoked" in refused.stderr) == (2, True)
    assert parse_json(at_stack("api-keys", "list", "--json"))["total"] == 0


def test_a_schedule_is_shown_paused_triggered_and_backfilled(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    noon = 'name: noon\nis_scheduled: true\nschedule_enabled: true\nschedule_cron: "0 12 * * *"'
    file = task_file(tmp_path, SAYS_HELLO.replace("name: hello", noon))
    made = at_stack("tasks", "create", "-f", file)
    assert made.returncode == 0, made.stderr
    [line] = [text for text in at_stack("schedules", "list").stdout.splitlines() if "noon" in text]
    assert " active " in line
    assert " 12:00 UTC " in line
    assert at_stack("schedules", "pause", "noon").stdout.strip() == "paused"
    triggered = at_stack("schedules", "trigger", "noon", "--watch")
    assert triggered.returncode == 0, triggered.stderr
    assert "Hello from turn 1." in triggered.stdout
    filled = at_stack("schedules", "backfill", "noon", "2026-01-01", "2026-01-04")
    assert filled.stdout.strip() == "Requested runs: 3"

    def fires() -> list[str]:
        shown = parse_json(at_stack("schedules", "get", "noon", "--json"))
        done = [fire for fire in shown["recent_fires"] if fire["status"] == "completed"]
        return [fire["scheduled_at"] for fire in done]

    made_up_for = [f"2026-01-0{day}T12:00:00Z" for day in (3, 2, 1)]
    until(lambda: fires()[:3] == made_up_for, what="the fires")
    assert "2026-01-03 12:00:00" in at_stack("schedules", "get", "noon").stdout
    assert at_stack("schedules", "resume", "noon").stdout.startswith("active; next ")
    refused = at_stack("schedules", "backfill", "noon", "2026-01-01", "soon")
    assert refused.returncode == 2


def test_a_test_notification_shows_the_result_of_its_attempt(at_stack: StackCommand) -> None:
    result = at_stack("notifications", "test", "--email", "ada@example.com", "-o", "json")
    assert result.returncode == 1
    assert "PERDURE_SMTP_URL" in parse_json(result)["error"]
    without_target = at_stack("notifications", "test")
    assert without_target.returncode == 2
    assert "\n  Give exactly one target" in without_target.stderr
