"""`say`, `sessions`, and what `executions` does to one that has ended, against a real stack."""

import tarfile
from pathlib import Path

from tests.cli.conftest import StackCommand
from tests.cli.runner import parse_json

WRITES = """
name: writes
allowed_tools: [bash]
prompt_template: |
  ```script
  - tool_use: {name: bash, input: {command: "mkdir -p out && printf made > out/a.txt"}}
  - text: "Done."
  ```
"""


def test_a_conversation_is_held_and_ended(at_stack: StackCommand) -> None:
    made = at_stack("sessions", "create", "--agent", "reviewer", "--title", "A talk")
    session_id = made.stdout.strip()
    for text in ("one {{ x }}", "two"):
        sent = at_stack("sessions", "say", session_id, text)
        assert sent.returncode == 0, sent.stderr
        assert "scripted model" in sent.stdout
    shown = parse_json(at_stack("sessions", "get", "last", "--json"))
    assert (shown["id"], shown["title"], shown["agent_id"]) == (session_id, "A talk", "reviewer")
    texts = [m["content"][0]["text"] for m in shown["messages"] if m["role"] == "user"]
    assert texts == ["one {{ x }}", "two"]
    assert "two" in at_stack("sessions", "get", session_id).stdout
    assert "A talk" in at_stack("sessions", "list", "--interactive").stdout
    assert "A talk" not in at_stack("sessions", "list", "--of-tasks").stdout
    listed = parse_json(at_stack("executions", "list", "--session-id", session_id, "--json"))
    assert {e["trigger_type"] for e in listed["items"]} == {"cli"}
    assert at_stack("sessions", "delete", session_id).returncode == 0
    assert at_stack("sessions", "get", session_id).returncode == 2


def test_one_that_has_ended_is_answered_repeated_and_its_files_fetched(
    at_stack: StackCommand, tmp_path: Path
) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(WRITES)
    first = parse_json(at_stack("run", str(file), "--json"))
    assert first["trigger_type"] == "cli"

    listed = parse_json(at_stack("executions", "files", first["id"], "out", "--json"))
    assert [f["path"] for f in listed] == ["out/a.txt"]
    assert "out" in at_stack("executions", "files", first["id"]).stdout
    target, archive = tmp_path / "a.txt", tmp_path / "all.tar.gz"
    fetched = at_stack("executions", "download", first["id"], "out/a.txt", "--to", str(target))
    assert fetched.returncode == 0, fetched.stderr
    assert target.read_text() == "made"
    missing = tmp_path / "missing"
    refused = at_stack("executions", "download", first["id"], "no", "--to", str(missing))
    assert (refused.returncode, missing.exists()) == (2, False)
    assert "There is no no in the workspace" in refused.stderr
    at_stack("executions", "download", first["id"], "--to", str(archive))
    with tarfile.open(archive) as packed:
        assert "out/a.txt" in packed.getnames()

    answer = parse_json(at_stack("say", first["id"], "Thanks", "--json"))
    assert answer["id"] != first["id"]
    assert answer["session_id"] == first["session_id"]
    again = parse_json(at_stack("executions", "retry", first["id"], "--json"))
    assert (again["retry_of_id"], again["status"]) == (first["id"], "completed")
