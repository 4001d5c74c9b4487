"""Tasks as files: what they may leave out, how they are refused, and that nothing is lost."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_library.documents import ParsedDocument, read_yaml
from cli.commands.run import is_file
from cli.definitions.files import (
    AGENT,
    TASK,
    Definition,
    DefinitionError,
    parse_definition,
    read_all,
    read_file,
    read_task,
)
from cli.definitions.writing import write_files, write_stream

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
    assert read_task(file).body == {"name": "hello", "prompt_template": "Say hello."}


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
        ("- a list", ":1: This is no definition"),
        ("no name: here", ":1: name: Field required"),
        ("x: y\n: : :", ":2: This is not valid YAML"),
        ("name: a\n# \xff", ":2: This is not UTF-8"),
        (
            "name: a\nprompt_template: b\nprompt_templat: c",
            ":3: prompt_templat: This field does not exist; did you mean 'prompt_template'?",
        ),
        ("name: a\nprompt_template: [5]", ":2: prompt_template: Input should be a valid string"),
        (
            "name: a\nprompt_template: b\nsdk_options:\n  max_turns: many",
            ":4: sdk_options.max_turns: Input should be a valid integer",
        ),
        ("kind: recipe\nname: a", "no kind 'recipe'"),
        ("name: a\nask_tools: [bash]\nask_tools: []", ":3: The key 'ask_tools' appears twice"),
        ("name: a\n2026-01-01: b\nprompt_template: c", ":2: 2026-01-01: This field does not"),
        ("name: a\nnull: b\nprompt_template: c", ":2: null: This field does not exist"),
        ("name: a\ndefault_variables: &a {b: *a}", ":2: There is no complete value 'a'"),
        ("[" * 5000, ":1: This is nested too deeply"),
        ("name: a\nprompt_template: null", ":2: prompt_template: Input should be a valid string"),
        (
            "name: a\nprompt_template: b\nsdk_options: {max_turns: 0}",
            ":3: sdk_options.max_turns: Input should be greater than or equal to 1",
        ),
        ("name: a\ndefault_variables: {s: !!set {a, b}}", ":2: The tag 'tag:yaml.org,2002:set'"),
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
    assert "c.yaml:1: prompt_template: Field required" in str(refused.value)
    assert "c.yaml:2: model: This field does not exist; remove it." in str(refused.value)


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="holds no definitions"):
        read_all([tmp_path])


def test_a_file_is_what_exists(tmp_path: Path) -> None:
    assert is_file(str(write(tmp_path, "task.txt", "name: a")))
    assert not is_file("missing.yaml")
    assert not is_file("x" * 5000)
    assert not is_file("a\0b")


WORDS = """\
name: 1.10
prompt_template: 5
tags: [no, 2026, 1.10, true, NULL]
default_variables:
  country: NO
  at: 12:30
  zip: 01234
  version: 1.10
  h: 0x1F
  u: 1_000
  big: .inf
  on: yes
  day: 2026-11-28
  2026-01-01: dated
  count: 5
  share: 0.5
  is_new: true
  nothing: ~
sdk_options: {max_turns: 010, max_budget_usd: 1.50, temperature: 1.0}
is_active: TRUE
"""


def test_words_are_read_as_they_are_written(tmp_path: Path) -> None:
    task = read_task(write(tmp_path, "task.yaml", WORDS)).body
    assert (task["name"], task["prompt_template"]) == ("1.10", "5")
    assert task["tags"] == ["no", "2026", "1.10", "true", "NULL"]
    assert task["default_variables"] == {
        "country": "NO",
        "at": "12:30",
        "zip": "01234",
        "version": "1.10",
        "h": "0x1F",
        "u": "1_000",
        "big": ".inf",
        "on": "yes",
        "day": "2026-11-28",
        "2026-01-01": "dated",
        "count": 5,
        "share": 0.5,
        "is_new": True,
        "nothing": None,
    }
    options = task["sdk_options"]
    assert (options["max_turns"], options["temperature"]) == (10, 1.0)
    assert float(options["max_budget_usd"]) == 1.5


@pytest.mark.parametrize("name", ["task.yaml", "task.json", "task.md"])
@pytest.mark.parametrize("field", ["ask_tools", "disallowed_tools", "allowed_tools", "is_active"])
def test_a_doubled_key_is_refused_with_both_lines(tmp_path: Path, name: str, field: str) -> None:
    texts = {
        "task.yaml": f"name: a\n{field}: []\nprompt_template: b\n{field}: []\n",
        "task.json": f'{{"name": "a",\n"{field}": [],\n"prompt_template": "b",\n"{field}": []}}',
        "task.md": f"---\n{field}: []\nname: a\n{field}: []\n---\nb",
    }
    with pytest.raises(DefinitionError) as refused:
        read_task(write(tmp_path, name, texts[name]))
    expected = f"{name}:4: The key {field!r} appears twice, first in line 2; keep one."
    assert str(refused.value).endswith(expected)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("task.yaml", "name: a\nprompt_template: |\n  One.\n  Two.\n"),
        ("task.json", '{\n\t"name": "a",\n\t"prompt_template": "One.\\nTwo.\\n"\n}\n'),
        ("task.md", "---\nname: a\n---\nOne.\nTwo.\n"),
    ],
)
def test_files_of_windows_are_read(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    task = read_task(file).body
    assert (task["name"], task["prompt_template"].strip()) == ("a", "One.\nTwo.")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("# Guide\n\n---\nname: a\n---\nb", "task.md:1: This file has no front matter"),
        ("\n---\nname: a\n---\nb", "task.md:1: This file has no front matter"),
        ("---\nname: a\nb", "task.md:1: The front matter is not closed"),
        ("---\nname: a\nprompt_template: b\n---\nc", "task.md:3: prompt_template is the text"),
        ("---\nname: a\non: push\n---\nc", "task.md:3: on: This field does not exist"),
        ("---\n- a\n---\nc", "task.md:1: The front matter must hold fields"),
    ],
)
def test_markdown_that_is_no_task_is_refused(tmp_path: Path, text: str, hint: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        read_task(write(tmp_path, "task.md", text))
    assert hint in str(refused.value)


def test_the_kind_in_a_markdown_file_comes_before_its_directory(tmp_path: Path) -> None:
    text = "---\nkind: {}\nname: a\ncolor: red\n---\nb"
    agent = read_all([write(tmp_path, "here/a.md", text.format("agent"))])[0]
    assert (agent.kind, agent.ignored) == (AGENT, ("color",))
    with pytest.raises(DefinitionError, match=r"a\.md:4: color"):
        read_all([write(tmp_path, "agents/a.md", text.format("task"))])


def write_and_read(definitions: list[Definition], directory: Path) -> list[dict[str, Any]]:
    for path, text in write_files(definitions):
        write(directory, path, text)
    return sorted((d.body for d in read_all([directory])), key=lambda body: str(body["name"]))


def test_what_is_written_is_read_write_and_read(tmp_path: Path) -> None:
    full = read_task(write(tmp_path, "full.yaml", FULL))
    alike = [
        parse_definition(ParsedDocument({"name": n, "prompt_template": " x"}, {(): 1}), tmp_path)
        for n in ("A b", "a b")
    ]
    everything = [full, *alike]
    bodies = sorted((d.body for d in everything), key=lambda body: str(body["name"]))
    assert write_and_read(everything, tmp_path / "files") == bodies
    stream = write(tmp_path, "stream.yaml", write_stream(everything))
    assert [d.body for d in read_file(stream)] == [d.body for d in everything]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(variables=st.dictionaries(st.text(max_size=10), st.text(max_size=10) | VALUES, max_size=3))
def test_any_variable_survives(variables: dict[str, Any]) -> None:
    body = {"name": "a", "prompt_template": "b", "default_variables": variables}
    stream = write_stream([Definition(TASK, body, "here")])
    assert read_yaml(stream)[0].value["default_variables"] == variables


@given(
    name=st.text(min_size=1, max_size=40).filter(lambda text: text.strip() and "\0" not in text),
    prompt=st.text(min_size=1).filter(lambda text: text.strip() and "\0" not in text),
)
def test_any_text_survives(
    tmp_path_factory: pytest.TempPathFactory, name: str, prompt: str
) -> None:
    task = Definition(TASK, TASK.normalize({"name": name, "prompt_template": prompt}), "here")
    assert write_and_read([task], tmp_path_factory.mktemp("files")) == [task.body]
