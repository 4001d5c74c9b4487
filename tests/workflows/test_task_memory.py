"""The memory tools: on the real engine, and called again after a crash."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text, update

from domain.ids import new_id
from domain.memory.entries import LONGEST_KEY, MOST_VALUE_BYTES, MemoryAccess, NamespaceAccess
from domain.tools.calls import ProcessIdentity, ToolInvocation, ToolOutcome
from persistence.memory import uses
from persistence.sessions.timeline import TimelineRange
from persistence.tables.ledger import AuditRow
from persistence.tables.memory import MemoryEntryRow
from services.memory import reading
from services.memory.reading import EntryAddress
from services.memory.task_memory import TaskMemory
from tests.engine.driver import Engine, use
from tools.stores import ToolStores
from tools.toolbox import Toolbox

READ, WRITE = NamespaceAccess("shared:facts"), NamespaceAccess("project:x", "write")


@dataclass
class MemoryCalls:
    """Calls of one execution to the memory tools."""

    toolbox: Toolbox
    first: ToolInvocation

    def invocation(self, name: str, /, **tool_input: Any) -> ToolInvocation:
        return replace(self.first, tool_use_id=f"toolu_{new_id().hex}", name=name, input=tool_input)

    async def run(self, invocation: ToolInvocation) -> ToolOutcome:
        async def on_started(_: ProcessIdentity | None) -> None:
            """Nothing is recorded here."""

        return await self.toolbox.run(invocation, on_started=on_started)

    async def text(self, name: str, /, **tool_input: Any) -> str:
        outcome = await self.run(self.invocation(name, **tool_input))
        assert not outcome.is_error, outcome.text
        return outcome.text

    async def refusal(self, name: str, /, **tool_input: Any) -> str:
        outcome = await self.run(self.invocation(name, **tool_input))
        assert outcome.is_error, outcome.text
        return outcome.text


@pytest.fixture
def call(engine: Engine, tmp_path: Path) -> MemoryCalls:
    toolbox = Toolbox(
        tmp_path / "w", host_id="here", stores=ToolStores(memory=TaskMemory(engine.services))
    )
    memory = MemoryAccess((READ, WRITE))
    first = ToolInvocation(new_id(), new_id(), "", "", {}, memory=memory, user_id=engine.user_id)
    return MemoryCalls(toolbox, first)


def entry(namespace: str = "project:x:specs") -> dict[str, Any]:
    return {"namespace": namespace, "key": new_id().hex}


async def test_a_value_is_stored_changed_found_and_deleted(call: MemoryCalls) -> None:
    at = entry()
    word = f"w{new_id().hex}"
    assert (await call.text("memory_add", **at, value=word)).endswith("as version 1.")
    assert word in await call.text("memory_search", q=word)
    assert (await call.text("memory_update", **at, value={"a": [1]})).endswith("as version 2.")
    assert '{"a": [1]}' in await call.text("memory_get", **at)
    assert word in await call.text("memory_get", **at, version=1)
    await call.text("memory_delete", **at)
    assert "There is no entry" in await call.refusal("memory_get", **at)


async def test_a_call_that_a_crash_repeats_writes_once(call: MemoryCalls) -> None:
    at = entry()
    adding = call.invocation("memory_add", **at, value="first")
    deleting = call.invocation("memory_delete", **at)
    first = await call.run(adding)
    await call.text("memory_update", **at, value="second")
    assert await call.run(adding) == first
    assert "second" in await call.text("memory_get", **at)
    assert not (await call.run(deleting)).is_error
    await call.text("memory_add", **at, value="third")
    assert not (await call.run(deleting)).is_error
    assert "version 4" in await call.text("memory_get", **at)


async def test_each_refusal_says_what_to_do(call: MemoryCalls) -> None:
    at = entry()
    assert "add it instead" in await call.refusal("memory_update", **at, value="x")
    await call.text("memory_add", **at, value="x")
    assert "change it instead" in await call.refusal("memory_add", **at, value="y")
    assert "has version 1" in await call.refusal(
        "memory_update", **at, value="y", expected_version=7
    )
    for namespace, says in (
        ("shared:facts:a", "not write it"),
        ("project:x2", "This task has no namespace"),
        ("project", "Join at least two parts"),
    ):
        refusal = await call.refusal("memory_add", **entry(namespace), value="y")
        assert says in refusal
    assert "may have" in await call.refusal("memory_add", **entry(), value="x" * MOST_VALUE_BYTES)
    assert "NUL" in await call.refusal("memory_add", **entry(), value={"a\0": 1})
    assert "null is no value" in await call.refusal("memory_add", **entry(), value=None)


async def test_a_long_value_is_read_in_parts(call: MemoryCalls) -> None:
    at = entry()
    await call.text("memory_add", **at, value="é" * 20_000 + "end")
    first = await call.text("memory_get", **at)
    assert "Continue with offset 15000." in first
    assert "end" in await call.text("memory_get", **at, offset=15_000)


async def files(call: MemoryCalls, command: str, **given: Any) -> str:
    return await call.text("memory", command=command, **given)


async def refused_file(call: MemoryCalls, command: str, path: str, **given: Any) -> str:
    return await call.refusal("memory", command=command, path=path, **given)


async def test_claudes_own_tool_keeps_files_as_entries(call: MemoryCalls) -> None:
    home = f"/memories/{new_id().hex}"
    path = f"{home}/a.md"
    made = await files(call, "create", path=path, file_text="one\ntwo\n")
    assert made == f"File created successfully at: {path}"
    edited = await files(call, "str_replace", path=path, old_str="two", new_str="2")
    assert edited.endswith("(with line numbers):\n     1\tone\n     2\t2\n     3\t")
    await files(call, "insert", path=path, insert_line=1, insert_text="middle\n")
    shown = await files(call, "view", path=path, view_range=[2, -1])
    assert shown.endswith("     2\tmiddle\n     3\t2\n     4\t")
    key = path.removeprefix("/memories/")
    found = await call.text("memory_get", namespace="project:x", key=key)
    assert "version 3" in found
    await files(call, "rename", old_path=home, new_path=f"{home}2/sub")
    listed = await files(call, "view", path=f"{home}2/")
    assert f"\t{home}2/sub/\n" in listed
    assert listed.endswith(f"\t{home}2/sub/a.md")
    await files(call, "delete", path=f"{home}2")
    assert "does not exist" in await refused_file(call, "view", home)


async def test_a_file_command_that_a_crash_repeats_is_applied_once(call: MemoryCalls) -> None:
    home = f"/memories/{new_id().hex}"
    path, moved = f"{home}/a.md", f"{home}/b.md"
    creating = call.invocation("memory", command="create", path=path, file_text="a\n")
    adding = call.invocation("memory", command="insert", path=path, insert_line=0, insert_text="b")
    replacing = call.invocation(
        "memory", command="str_replace", path=path, old_str="a", new_str="aa"
    )
    moving = call.invocation("memory", command="rename", old_path=path, new_path=moved)
    deleting = call.invocation("memory", command="delete", path=home)
    for invocation in (creating, adding, replacing, moving, deleting):
        first = await call.run(invocation)
        assert not first.is_error, first.text
        assert await call.run(invocation) == first
        if invocation is replacing:
            shown = await files(call, "view", path=path)
            assert shown.endswith("     1\tb\n     2\taa\n     3\t")
    history = await call.text("memory_get", namespace="project:x", key=path[10:], version=3)
    assert history.endswith("b\naa\n")


async def test_a_file_in_place_of_an_expired_one_is_created_once(
    call: MemoryCalls, engine: Engine
) -> None:
    name = new_id().hex
    await call.text("memory_add", namespace="project:x", key=name, value="old")
    async with engine.database.transaction() as session:
        expired = update(MemoryEntryRow).where(MemoryEntryRow.key == name)
        await session.execute(expired.values(expires_at=text("now() - interval '1 s'")))
    path = f"/memories/{name}"
    creating = call.invocation("memory", command="create", path=path, file_text="new")
    first = await call.run(creating)
    assert not first.is_error, first.text
    assert await call.run(creating) == first


async def test_a_file_that_changes_while_it_is_moved_keeps_the_change(
    call: MemoryCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = f"/memories/{new_id().hex}"
    await files(call, "create", path=f"{home}/a", file_text="one")
    find = reading.find_entry

    async def find_before_a_change(*arguments: Any) -> MemoryEntryRow:
        found = await find(*arguments)
        await files(call, "str_replace", path=f"{home}/a", old_str="one", new_str="two")
        return found

    move = {"command": "rename", "old_path": home}
    with monkeypatch.context() as patch:
        patch.setattr(reading, "find_entry", find_before_a_change)
        refusal = await call.refusal("memory", **move, new_path=f"{home}2")
    assert "version 2 by now" in refusal
    assert (await files(call, "view", path=f"{home}/a")).endswith("two")
    long = "d" * LONGEST_KEY
    refusal = await call.refusal("memory", **move, new_path=f"/memories/{long}")
    assert f"Use at most {LONGEST_KEY} characters" in refusal


async def test_a_file_command_says_what_is_wrong(call: MemoryCalls) -> None:
    home = f"/memories/{new_id().hex}"
    path = f"{home}/a.md"
    await files(call, "create", path=path, file_text="a a\nb\na\n")
    for wrong in ("/etc/passwd", "/memories2/a", "memories/a"):
        assert "must start with /memories" in await refused_file(call, "view", wrong)
    for wrong in ("a/../b", "..", "%2e%2e/a", "a//b", "a/./b"):
        assert "is invalid" in await refused_file(call, "view", f"{home}/{wrong}")
    taken = "already exists"
    assert taken in await refused_file(call, "create", path, file_text="x")
    assert taken in await refused_file(call, "create", home, file_text="x")
    assert taken in await refused_file(call, "create", f"{path}/b", file_text="x")
    move = {"command": "rename", "old_path": home}
    assert taken in await call.refusal("memory", **move, new_path=path)
    assert "itself" in await refused_file(call, "delete", "/memories")
    refusal = await refused_file(call, "str_replace", path, old_str="a", new_str="")
    assert "lines: 1, 1, 3." in refusal
    missing = await refused_file(call, "str_replace", path, old_str="z", new_str="")
    assert "did not appear verbatim" in missing
    assert "[0, 3]" in await refused_file(call, "insert", path, insert_line=9, insert_text="")
    assert "required property" in await refused_file(call, "insert", path)
    await call.text("memory_add", namespace="project:x", key=f"{home[10:]}/j", value={"a": 1})
    as_json = await refused_file(call, "insert", f"{home}/j", insert_line=0, insert_text="x")
    assert "JSON value" in as_json


async def test_files_of_a_namespace_to_read_stay_as_they_are(call: MemoryCalls) -> None:
    call.first = replace(call.first, memory=MemoryAccess((READ,)))
    await files(call, "view", path="/memories")
    refusal = await refused_file(call, "create", "/memories/a", file_text="")
    assert "not write it" in refusal


async def test_a_run_remembers_for_the_next(engine: Engine) -> None:
    at, other = entry(), entry("user:private")
    memory = {"namespaces": [{"namespace": "project:x", "mode": "write"}]}
    tools = ["memory_add", "memory_search", "memory_get"]
    run = await engine.run_to_completion(
        {"tool_use": [use("memory_add", **at, value="vim"), use("memory_add", **other, value="x")]},
        {"text": "done"},
        allowed_tools=tools,
        memory=memory,
    )
    added, refused = await run.tool_calls()
    assert (added.effect, added.status, refused.status) == ("idempotent", "succeeded", "failed")
    async with engine.database.reading() as session:
        found = await reading.find_entry(session, engine.caller, EntryAddress(**at))
        assert found.execution_id == run.id
        audit = select(AuditRow.after).where(AuditRow.entity_id == found.id)
        assert (await session.scalars(audit)).one()["execution_id"] == str(run.id)
    later = await engine.run_to_completion(
        {"tool_use": [use("memory_get", **at), use("memory_search", q="vim", limit=1)]},
        {"tool_use": use("memory", command="view", path="/memories")},
        {"text": "{last_tool_result}"},
        allowed_tools=[*tools, "memory"],
        memory={"namespaces": [{"namespace": "project:x"}]},
    )
    assert "up to 2 levels deep in /memories" in await later.text()
    assert [call.effect for call in await later.tool_calls()] == ["read_only"] * 3
    async with engine.database.reading() as session:
        whole = TimelineRange(limit=10)
        (written,) = (await uses.list_uses(session, run.id, whole)).rows
        seen = (await uses.list_uses(session, later.id, whole)).rows
    assert (written.action, written.key, written.version) == ("created", at["key"], 1)
    assert {row.action for row in seen} == {"read", "found"}
