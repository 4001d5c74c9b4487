"""`say`, `sessions`, and what `executions` does to one that has ended, against a real stack."""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.running import Up, json_of, perdure

WRITES = """
name: writes
allowed_tools: [bash]
prompt_template: |
  ```script
  - tool_use: {name: bash, input: {command: "mkdir -p out && printf made > out/a.txt"}}
  - text: "Done."
  ```
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = Up(tmp_path_factory.mktemp("stack"), "--scripted-model")
    up.wait_ready()
    yield up
    up.stop()


def test_a_conversation_is_held_and_ended(up: Up) -> None:
    home = up.home.path
    made = perdure(home, "sessions", "new", "--agent", "reviewer", "--title", "A talk")
    session_id = made.stdout.strip()
    for text in ("one {{ x }}", "two"):
        said = perdure(home, "sessions", "say", session_id, text)
        assert said.returncode == 0, said.stderr
        assert "scripted model" in said.stdout
    shown = json_of(perdure(home, "sessions", "show", "last", "--json"))
    assert (shown["id"], shown["title"], shown["agent_id"]) == (session_id, "A talk", "reviewer")
    texts = [m["content"][0]["text"] for m in shown["messages"] if m["role"] == "user"]
    assert texts == ["one {{ x }}", "two"]
    assert "two" in perdure(home, "sessions", "show", session_id).stdout
    assert "A talk" in perdure(home, "sessions", "list", "--interactive").stdout
    assert "A talk" not in perdure(home, "sessions", "list", "--of-tasks").stdout
    listed = json_of(perdure(home, "executions", "list", "--session-id", session_id, "--json"))
    assert {e["trigger_type"] for e in listed["items"]} == {"cli"}
    assert perdure(home, "sessions", "delete", session_id).returncode == 0
    assert perdure(home, "sessions", "show", session_id).returncode == 2


def test_one_that_has_ended_is_answered_repeated_and_its_files_fetched(
    up: Up, tmp_path: Path
) -> None:
    home = up.home.path
    file = tmp_path / "task.yaml"
    file.write_text(WRITES)
    first = json_of(perdure(home, "run", str(file), "--json"))
    assert first["trigger_type"] == "cli"

    listed = json_of(perdure(home, "executions", "files", first["id"], "out", "--json"))
    assert [f["path"] for f in listed] == ["out/a.txt"]
    assert "out" in perdure(home, "executions", "files", first["id"]).stdout
    target, archive = tmp_path / "a.txt", tmp_path / "all.tar.gz"
    fetched = perdure(home, "executions", "download", first["id"], "out/a.txt", "--to", str(target))
    assert fetched.returncode == 0, fetched.stderr
    assert target.read_text() == "made"
    missing = tmp_path / "missing"
    refused = perdure(home, "executions", "download", first["id"], "no", "--to", str(missing))
    assert (refused.returncode, missing.exists()) == (2, False)
    assert "no does not exist" in refused.stderr
    perdure(home, "executions", "download", first["id"], "--to", str(archive))
    with tarfile.open(archive) as packed:
        assert "out/a.txt" in packed.getnames()

    answer = json_of(perdure(home, "say", first["id"], "Thanks", "--json"))
    assert answer["id"] != first["id"]
    assert answer["session_id"] == first["session_id"]
    again = json_of(perdure(home, "executions", "retry", first["id"], "--json"))
    assert (again["retry_of_id"], again["status"]) == (first["id"], "completed")
