"""Tasks as files: what they may leave out, how they are refused, and that nothing is lost."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.definitions import (
    AGENT,
    TASK,
    Definition,
    DefinitionError,
    is_file,
    parse_definition,
    read_all,
    read_file,
    read_task,
    write_files,
    write_stream,
)

FULL = """
name: nightly
prompt_template: |
  Look at {{ what }}.

  Then say so.
default_variables: {what: logs, since: 2026-01-01}
allowed_tools: [bash, "bash(git *)"]
sdk_options: {model: claude-opus-5-5, max_budget_usd: 0.5}
is_scheduled: true
schedule_cron: 0 3 * * *
tags: [ops]
"""


def write(directory: Path, name: str, text: str) -> Path:
    file = directory / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_may_leave_out_fields_with_an_obvious_value(tmp_path: Path) -> None:
    file = write(tmp_path, "task.yaml", "name: hello\nprompt_template: Say hello.\n")
    task = read_task(file)
    assert task.body == {"name": "hello", "prompt_template": "Say hello."}
    assert task.request == {**task.body, "allowed_tools": [], "sdk_options": {}}


def test_defaults_that_are_written_are_no_difference(tmp_path: Path) -> None:
    written = "name: a\nprompt_template: b\ntags: []\nsdk_options: {permission_mode: default}\n"
    file = write(tmp_path, "task.yaml", written)
    assert read_task(file).body == {"name": "a", "prompt_template": "b"}


def test_markdown_is_front_matter_and_a_prompt(tmp_path: Path) -> None:
    file = write(tmp_path, "task.md", "---\nname: hello\n---\n\n# Do it\n\nSay `{{ x }}`.\n")
    assert read_task(file).body["prompt_template"] == "# Do it\n\nSay `{{ x }}`."


def test_a_coding_agents_file_is_an_agent(tmp_path: Path) -> None:
    text = """---
name: code-reviewer
description: Reviews.
tools: Read, Grep, Bash(git:*)
model: sonnet
color: blue
---

You review code.
"""
    [agent] = read_all([write(tmp_path, "agents/code-reviewer.md", text)])
    assert agent.kind is AGENT
    assert agent.key == "code-reviewer"
    assert agent.body["allowed_tools"] == ["read_file", "search_files", "bash(git *)"]
    assert agent.body["system_prompt"] == "You review code."
    assert agent.ignored == ("color",)


def test_agents_are_written_and_read_write_and_read(tmp_path: Path) -> None:
    tools: list[list[str]] = [["bash"], []]
    agents = [
        Definition(AGENT, AGENT.normalize({**body, "allowed_tools": allowed}), "here")
        for allowed in tools
        for body in [{"agent_id": f"a{len(allowed)}", "name": "A", "system_prompt": "Be good."}]
    ]
    for path, content in write_files(agents):
        write(tmp_path, path, content)
    found = {d.key: d.body for d in read_all([tmp_path])}
    assert found == {d.key: d.body for d in agents}


def test_json_and_many_documents_are_read_too(tmp_path: Path) -> None:
    write(tmp_path, "a.json", '{"name": "one", "prompt_template": "x"}')
    write(
        tmp_path, "b.yml", "name: two\nprompt_template: x\n---\nname: three\nprompt_template: x\n"
    )
    write(tmp_path, "below/c.yaml", "name: four\nprompt_template: x\n")
    write(tmp_path, "README.md", "About these tasks.")
    write(tmp_path, ".hidden/d.yaml", "name: five\n")
    assert [d.key for d in read_all([tmp_path])] == ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("- a list", "holds no definition"),
        ("no name: here", "Field required"),
        (": : :", "can't be read"),
        ("\xff", "can't be read"),
        ("name: a\nprompt_template: b\nprompt_templat: c", "prompt_templat"),
        ("name: a\nprompt_template: 5", "prompt_template: Input should be a valid string"),
        ("kind: recipe\nname: a", "no kind 'recipe'"),
    ],
)
def test_what_is_no_task_is_refused_by_its_files_name(
    tmp_path: Path, content: str, hint: str
) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(DefinitionError, match=r"task\.yaml") as refused:
        read_all([file])
    assert hint in str(refused.value)


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "name: one\nprompt_template: x")
    write(tmp_path, "b.yaml", "name: one\nprompt_template: y")
    write(tmp_path, "c.yaml", "name: two\nmodel: x")
    with pytest.raises(DefinitionError) as refused:
        read_all([tmp_path])
    assert "b.yaml: the task 'one' is defined in" in str(refused.value)
    assert "c.yaml is no task" in str(refused.value)
    assert "  model: There is no such field; leave it out." in str(refused.value)


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="holds no definitions"):
        read_all([tmp_path])


def test_what_ends_like_a_file_is_one() -> None:
    assert is_file("missing.yaml")
    assert is_file("missing.md")
    assert not is_file("weekly report")


def write_and_read(definitions: list[Definition], directory: Path) -> list[dict[str, Any]]:
    for path, text in write_files(definitions):
        write(directory, path, text)
    return sorted((d.body for d in read_all([directory])), key=lambda body: str(body["name"]))


def test_what_is_written_is_read_write_and_read(tmp_path: Path) -> None:
    full = read_task(write(tmp_path, "full.yaml", FULL))
    alike = [
        parse_definition({"name": n, "prompt_template": " x"}, tmp_path) for n in ("A b", "a b")
    ]
    everything = [full, *alike]
    bodies = sorted((d.body for d in everything), key=lambda body: str(body["name"]))
    assert write_and_read(everything, tmp_path / "files") == bodies
    stream = write(tmp_path, "stream.yaml", write_stream(everything))
    assert [d.body for d in read_file(stream)] == [d.body for d in everything]


@given(
    name=st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "\0" not in text),
    prompt=st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text),
)
def test_any_text_survives(
    tmp_path_factory: pytest.TempPathFactory, name: str, prompt: str
) -> None:
    task = Definition(TASK, TASK.normalize({"name": name, "prompt_template": prompt}), "here")
    assert write_and_read([task], tmp_path_factory.mktemp("files")) == [task.body]
