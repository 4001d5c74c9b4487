"""Agent files as people and coding agents write them: understood as they are, never wider."""

from typing import Any

import pytest

from agent_library.documents import DocumentError
from agent_library.files import AgentDocument, read_agent_file, split_front_matter
from domain.rules.permissions import KNOWN_TOOLS

EVERY = sorted(KNOWN_TOOLS)
READING = ["ask_user", "list_files", "read_file", "search_files", "web_fetch"]


def read(fields: str, text: str = "You help.") -> AgentDocument:
    return read_agent_file(split_front_matter(f"---\n{fields}\n---\n\n{text}\n"))


def tools_of(fields: str) -> Any:
    return read(f"name: a\ndescription: d\n{fields}").body.value["allowed_tools"]


@pytest.mark.parametrize(
    ("fields", "tools"),
    [
        ("", EVERY),
        # Spellings of the key.
        ("tools: Read, Grep", ["read_file", "search_files"]),
        ("allowedTools: Read, Grep", ["read_file", "search_files"]),
        ("allowed-tools: Read, Grep", ["read_file", "search_files"]),
        ("AllowedTools: Read, Grep", ["read_file", "search_files"]),
        ("allowed_tools: Read, Grep", ["read_file", "search_files"]),
        ("Allowed Tools: Read", ["read_file"]),
        ("Tools: Read", ["read_file"]),
        ("TOOLS : Read", ["read_file"]),
        ("tool: Read", ["read_file"]),
        ('"tools": Read', ["read_file"]),
        ("enabled_tools: [Read]", ["read_file"]),
        # Nothing is nothing.
        *[
            (f"tools:{nothing}", [])
            for nothing in ("", " null", " ~", " []", " ''", ' ""', " Null")
        ],
        ("tools:\n  # - Bash", []),
        # Everything.
        *[(f"tools: {every}", EVERY) for every in ("*", '"*"', "['*']", "All tools", "all")],
        ("tools:\n  - *", EVERY),
        # Forms of a list.
        ("tools: [Read, 'Bash(git:*)']", ["read_file", "bash(git *)"]),
        ("tools:\n  - Read\n  - Bash(git diff:*)", ["read_file", "bash(git diff *)"]),
        ("tools:\n- Read\n- Grep", ["read_file", "search_files"]),
        ("tools: Read Grep Bash(git add:*)", ["read_file", "search_files", "bash(git add *)"]),
        ("tools: Bash(git log: *), Read", ["bash(git log: *)", "read_file"]),
        ("tools: Bash(git add:*, git log:*)", ["bash(git add *, git log *)"]),
        ("tools: Read(src/**)", ["read_file(src/**)"]),
        ("tools: Read, WebFetch, NotebookEdit", ["read_file", "web_fetch"]),
        ("tools: 7", []),
        ("tools: WebSearch", []),
        ("tools: Bash(git", []),
        # Switches by name.
        (
            "tools:\n  write: false\n  edit: false\n  bash: false",
            sorted(KNOWN_TOOLS - {"write_file", "edit_file", "bash"}),
        ),
        ("tools: {'*': false, read: true}", ["read_file"]),
        ("tools: {read: true}", EVERY),
        ("tools: {bash*: false}", sorted(KNOWN_TOOLS - {"bash"})),
        # What is denied is left out.
        ("disallowedTools: Bash, Write", sorted(KNOWN_TOOLS - {"bash", "write_file"})),
        ("disallowed-tools: [Bash]", sorted(KNOWN_TOOLS - {"bash"})),
        ("tools: Read, Bash(git:*)\ndisallowedTools: Bash", ["read_file"]),
        ("tools: Read, Bash\ndisallowedTools: '*'", []),
        ("tools: '*_file'\ndisallowedTools: Write", ["edit_file", "read_file"]),
        ("tools: Read\ndisallowedTools: Bash(rm:*), mcp__github__delete", ["read_file"]),
        ("disallowedTools: WebFetch", sorted(KNOWN_TOOLS - {"web_fetch"})),
        ("disallowedTools:", EVERY),
        # Modes that only read.
        ("readonly: true", READING),
        ("readOnly: true\ntools: Read, Bash", ["read_file"]),
        ("readonly: false", EVERY),
        ("permissionMode: plan", READING),
        ("permissionMode: bypassPermissions", EVERY),
        # Fields that restrict nothing.
        ("hooks:\n  PostToolUse:\n    - matcher: Edit", EVERY),
        ("mcpServers: [github]\nskills: x\ncolor: red\nmaxTurns: 5", EVERY),
        ("argument-hint: '[file]'\ndisable-model-invocation: true", EVERY),
        ("toolkit:", EVERY),
    ],
)
def test_an_agent_has_the_tools_that_its_file_means(fields: str, tools: list[str]) -> None:
    assert sorted(tools_of(fields)) == sorted(tools)


@pytest.mark.parametrize(
    ("fields", "line", "hint"),
    [
        ("tools: Read\nallowedTools: Bash", 5, "'tools' says the same"),
        ("tools: Read\ntools: Bash", 5, "'tools' appears twice, first in line 4"),
        ("description2: a: b\ntools: Read\ntools: Bash", 6, "'tools' appears twice"),
        ("tools: {bash: {git: ask}}", 4, "true or false"),
        ("tools: [[Read]]", 4, "list of names"),
        ("tools: [{name: Read}]", 4, "list of names"),
        ("permission:\n  bash: deny", 4, "'permission' may restrict"),
        ("permissions: {deny: [Bash]}", 4, "'permissions' may restrict"),
        ("toolsets: [web]", 4, "'toolsets' may restrict"),
        ("ask-tools: Bash", 4, "'ask-tools' may restrict"),
        ("denied: Bash", 4, "'denied' may restrict"),
        ("sandbox: strict", 4, "'sandbox' may restrict"),
        ("approval-policy: always", 4, "'approval-policy' may restrict"),
        ("disallowedTools: Bash(rm:*)", 4, "can only deny whole tools"),
        (
            "tools: mcp__github__*\ndisallowedTools: mcp__github__delete",
            5,
            "can only deny whole tools",
        ),
        ("disallowedTools: {Bash: true}", 4, "list of names"),
        ("readonly: sometimes", 4, "true or false"),
        ("hooks:\n  PreToolUse:\n    - matcher: Bash", 4, "PreToolUse"),
        ("note: a: b\n  tools: Read", 5, "'tools' is inside 'note'"),
        ("note: a: b\n- allowedTools: Read", 5, "'allowedTools' is inside 'note'"),
        ("note: !!python/name:os.system x", 4, "tag"),
        ("note: " + "[" * 5000, 4, "nested too deeply"),
        ("note: " + "y" * 20_000, 1, "shorten it"),
    ],
)
def test_a_file_whose_restriction_cannot_be_kept_is_refused(
    fields: str, line: int, hint: str
) -> None:
    with pytest.raises(DocumentError) as refused:
        tools_of(fields)
    assert hint in str(refused.value)
    assert refused.value.line == line


@pytest.mark.parametrize(
    ("markdown", "hint"),
    [
        (
            "# Guide\n\nWords.\n\n---\n\nname: value\ndescription: x\n\n---\n\nMore.",
            "no front matter",
        ),
        ("<!-- c -->\n---\nname: a\n---\nb", "no front matter"),
        ("\n---\nname: a\n---\nb", "no front matter"),
        ("", "no front matter"),
        ("name: a", "no front matter"),
        ("---\nname: a\ndescription: b", "not closed"),
        ("---\n---\nb", "must have fields"),
        ("---\n- a\n---\nb", "must have fields"),
        ("---\nwords: and: more\n- a\n---\n", ""),
        ("---\nsome words: [\nname a\n---\nb", ""),
        ("---\n[words\nname: a\n---\nb", "must begin with a field"),
    ],
)
def test_front_matter_begins_on_the_first_line(markdown: str, hint: str) -> None:
    try:
        found = read_agent_file(split_front_matter(markdown))
    except DocumentError as error:
        assert hint in str(error)  # noqa: PT017 - both outcomes are right
        assert hint
    else:
        assert not hint
        assert found.body.value["name"] is None


IN_ONE_LINE = r"""name: reviewer
description: Use it when needed. Examples: <example>Context: a. user: "b" 'c: d'</example>\n\nMore.
model: opus
color: green"""

IN_MANY_LINES = """name: reviewer
description: Use this agent after a change. Examples:

<example>
Context: The user wrote a function.
user: "Please check: is it right?"
assistant: "I'll use the reviewer."
<commentary>
Since code was written: use the agent.
</commentary>
</example>

- It also: helps.
model: sonnet
tools: Read, Grep
color: blue"""

BROKEN_QUOTES = """name: "reviewer"
description: "Use it for "quick" checks: now"
tools: ["Read"]"""

BLOCK = """name: reviewer
description: |
  Use it when:
  tools: are mentioned, this is a text.
model: inherit"""

UNINDENTED_BLOCK = """name: reviewer
description: >
Use it when: needed.
And: more.
model: haiku"""

SPECIAL = """name: reviewer
description: @mention this agent, `always`: yes
model: *
tools: *"""


@pytest.mark.parametrize(
    ("fields", "description", "model", "tools"),
    [
        (IN_ONE_LINE, "Use it when needed. Examples: <example>", "claude-opus-5-5", EVERY),
        (IN_MANY_LINES, "Use this agent after", "claude-sonnet-5-5", ["read_file", "search_files"]),
        (BROKEN_QUOTES, 'Use it for "quick" checks: now', None, ["read_file"]),
        (BLOCK, "Use it when:\ntools: are mentioned", None, EVERY),
        (SPECIAL, "@mention this agent, `always`: yes", "*", EVERY),
    ],
)
def test_a_value_is_the_rest_of_its_line(
    fields: str, description: str, model: str | None, tools: list[str]
) -> None:
    agent = read(fields).body.value
    assert agent["description"].startswith(description)
    assert (agent["name"], agent["agent_id"]) == ("reviewer", "reviewer")
    assert (agent["model"], agent["allowed_tools"]) == (model, tools)
    assert agent["system_prompt"] == "You help."


@pytest.mark.parametrize(
    ("key", "hint"),
    [("descripton", "Did you mean 'description'?"), ("xyz", "Fields are name, "), ("5", "Fields")],
)
def test_an_unknown_field_is_refused_by_name(key: str, hint: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(f"name: a\ntools: Read\n{key}: b")
    assert f"There is no field {key!r}. {hint}" in str(caught.value)
    assert caught.value.line == 4


def test_fields_of_coding_agents_without_meaning_are_ignored() -> None:
    agent = read("name: a\ncolor: red\nargument-hint: b\nmaxTurns: 3\nversion: 1")
    assert agent.ignored == ("argument-hint", "color", "maxTurns", "version")


def test_examples_stay_whole() -> None:
    agent = read(IN_MANY_LINES)
    description = agent.body.value["description"]
    assert description.endswith("</example>\n\n- It also: helps.")
    assert 'user: "Please check: is it right?"' in description
    assert agent.ignored == ("color",)


def test_a_block_without_indentation_is_refused() -> None:
    with pytest.raises(DocumentError, match="There is no field 'Use it when'"):
        read(UNINDENTED_BLOCK)


def test_words_stay_as_they_are_and_their_lines_are_known() -> None:
    agent = read("name: 5\nversion: 1.10\ntags: no, 2026\nTools: Read\ncapabilities: [12:30]")
    assert agent.body.value["name"] == "5"
    assert agent.body.value["tags"] == ["no", "2026"]
    assert agent.body.value["capabilities"] == ["12:30"]
    assert agent.ignored == ("version",)
    assert agent.body.line_of(("allowed_tools", 0)) == 5


def test_files_of_windows_are_read() -> None:
    text = "\ufeff---\r\nname: a\r\ntools: Read\r\n---\r\n\r\nOne.\r\nTwo.\r\n"
    agent = read_agent_file(split_front_matter(text)).body.value
    assert (agent["name"], agent["allowed_tools"]) == ("a", ["read_file"])
    assert agent["system_prompt"] == "One.\nTwo."


def test_rules_in_the_text_below_stay() -> None:
    agent = read("name: a", "One.\n\n---\n\ntools: none\n\n---")
    assert agent.body.value["system_prompt"] == "One.\n\n---\n\ntools: none\n\n---"
    assert agent.body.value["allowed_tools"] == EVERY
