"""The memory tools: on the real engine, and called again after a crash."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from domain.ids import new_id
from domain.memory import MOST_VALUE_BYTES, MemoryAccess, NamespaceAccess
from domain.tool_calls import ProcessIdentity, ToolInvocation, ToolOutcome
from persistence.tables.ledger import AuditRow
from services.memory import entries
from services.memory.entries import EntryAddress
from services.memory.task_memory import TaskMemory
from tests.engine.driver import Engine, use
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
    toolbox = Toolbox(tmp_path / "w", host_id="here", memory=TaskMemory(engine.services))
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
        found = await entries.find_entry(session, engine.caller, EntryAddress(**at))
        assert found.execution_id == run.id
        audit = select(AuditRow.after).where(AuditRow.entity_id == found.id)
        assert (await session.scalars(audit)).one()["execution_id"] == str(run.id)
    later = await engine.run_to_completion(
        {"tool_use": use("memory_get", **at)},
        {"text": "{last_tool_result}"},
        allowed_tools=tools,
        memory={"namespaces": [{"namespace": "project:x"}]},
    )
    assert "vim" in await later.text()
