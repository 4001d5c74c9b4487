"""`perdure plans` against a real stack with the scripted model."""

from pathlib import Path

from tests.cli.conftest import StackCommand
from tests.cli.runner import parse_json

PLAN = """
title: Two steps
steps:
  - key: first
    prompt: |
      ```script
      - text: fine
      ```
  - key: second
    depends_on: [first]
    prompt: |
      The first was {{ steps.first.result }}.

      ```script
      - text: All is done.
      ```
"""


def test_a_plan_is_created_started_and_watched(at_stack: StackCommand, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    created = at_stack("plans", "create", "-f", str(file))
    assert created.returncode == 0, created.stderr
    plan_id = created.stdout.strip()
    draft = at_stack("plans", "watch", plan_id)
    assert (draft.returncode, "plans start" in draft.stderr) == (2, True)
    started = at_stack("plans", "start", plan_id, "--watch")
    assert started.returncode == 0, started.stderr
    assert "first completed" in started.stdout
    assert "2 of 2 steps ·" in started.stderr
    assert "0 turns" not in started.stderr
    shown = at_stack("plans", "get", plan_id)
    assert "2 of 2 steps completed" in shown.stdout
    listed = at_stack("plans", "list", "--status", "completed")
    assert plan_id in listed.stdout
    wrong = at_stack("plans", "list", "--status", "draft,foo").stderr
    assert (wrong.count("Input should be"), "'waiting_for_user'" in wrong) == (1, True)
    plan = parse_json(at_stack("plans", "get", plan_id, "--json"))
    watched = at_stack("plans", "watch", plan_id)
    assert f"${plan['cost_usd']:.4f}" in watched.stderr
    report = at_stack("plans", "report", plan_id)
    assert "All is done." in report.stdout
    assert plan["is_scripted"]
    assert all(step["is_scripted"] for step in plan["steps"])
    for text in (shown.stdout, watched.stderr, report.stdout):
        assert "nothing was paid" in text
    picture = tmp_path / "plan.svg"
    at_stack("plans", "graph", plan_id, "-o", str(picture))
    assert "<svg" in picture.read_text()
    run = parse_json(at_stack("plans", "get", plan_id, "--json"))["execution_id"]
    result = parse_json(at_stack("executions", "get", run, "--json"))["result_data"]
    assert result["text"] == "All is done."


def test_an_invalid_plan_file_is_refused_with_its_line(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN.replace("depends_on", "depend_on"))
    refused = at_stack("plans", "create", "-f", str(file))
    assert refused.returncode != 0
    assert "depends_on" in refused.stderr
    file.write_text(PLAN.replace("[first]", "[frist]"))
    refused = at_stack("plans", "create", "-f", str(file))
    assert "Did you mean 'first'?" in refused.stderr
