"""The tools: outcomes as text, files of a session, and processes that can be ended."""

import asyncio
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from agent.ports import Store, Tools
from domain.ids import new_id
from domain.tools.calls import ProcessIdentity, ToolInvocation, ToolOutcome


@dataclass
class Session:
    """Calls in one session; `started` holds what `on_started` was given."""

    tools: Tools
    id: UUID = field(default_factory=new_id)
    started: list[ProcessIdentity | None] = field(default_factory=list)
    has_started: asyncio.Event = field(default_factory=asyncio.Event)

    async def on_started(self, identity: ProcessIdentity | None) -> None:
        self.started.append(identity)
        self.has_started.set()

    async def __call__(self, name: str, /, **tool_input: Any) -> ToolOutcome:
        invocation = ToolInvocation(
            new_id(), self.id, "toolu_1", name, tool_input, user_id=new_id()
        )
        return await self.tools.run(invocation, on_started=self.on_started)


@pytest.fixture
async def session(tools: Tools) -> Session:
    return Session(tools)


async def test_files_are_written_read_and_listed(session: Session) -> None:
    assert await session("list_files") == ToolOutcome("(nothing in .)")
    assert await session("write_file", path="note", content="one\ntwo\n") == ToolOutcome(
        "Made note (8 bytes)."
    )
    assert await session("read_file", path="note") == ToolOutcome("     1\tone\n     2\ttwo")
    assert await session("list_files") == ToolOutcome("note  (8 bytes)")
    assert await session("write_file", path="note", content="") == ToolOutcome(
        "Replaced note (0 bytes)."
    )
    assert await session("read_file", path="note") == ToolOutcome("(note is empty)")


async def test_each_session_has_its_own_files(tools: Tools) -> None:
    await Session(tools)("write_file", path="note", content="one")
    assert (await Session(tools)("read_file", path="note")).is_error


@pytest.mark.parametrize(
    ("name", "tool_input"),
    [
        ("read_file", {"path": "none"}),
        ("save_artifact", {"path": "none"}),
        ("write_file", {"path": "note"}),
        ("bash", {"command": 7}),
        ("bash", {"command": "exit 3"}),
    ],
)
async def test_a_mistake_of_the_model_is_an_error_outcome(
    session: Session, name: str, tool_input: dict[str, Any]
) -> None:
    outcome = await session(name, **tool_input)
    assert outcome.is_error
    assert outcome.text


async def test_an_input_is_checked_against_the_schema(tools: Tools) -> None:
    spec = tools.spec("write_file")
    assert spec is not None
    assert spec.input_schema["required"] == ["path", "content"]
    assert tools.spec("no_such_tool") is None
    assert tools.input_problem("write_file", {"path": "a", "content": "b"}) is None
    assert "'content' is a required property" in str(
        tools.input_problem("write_file", {"path": ""})
    )


async def test_a_start_is_announced_before_an_effect_only(session: Session) -> None:
    await session("list_files")
    await session("read_file", path="none")
    assert session.started == []
    await session("write_file", path="note", content="one")
    assert session.started == [None]
    await session("bash", command="touch x")
    [_, process] = session.started
    assert process is not None


async def test_a_tool_whose_start_is_refused_does_not_run(session: Session) -> None:
    async def refuse(_: ProcessIdentity | None) -> None:
        raise ConnectionError

    for name, tool_input in (
        ("write_file", {"path": "note", "content": "one"}),
        ("bash", {"command": "touch note"}),
    ):
        invocation = ToolInvocation(
            new_id(), session.id, "toolu_1", name, tool_input, user_id=new_id()
        )
        with pytest.raises(ConnectionError):
            await session.tools.run(invocation, on_started=refuse)
    assert await session("list_files") == ToolOutcome("(nothing in .)")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("echo one", "one\n\n[exit code 0]"),
        ("echo one; echo two", "one\ntwo\n\n[exit code 0]"),
        ("echo 1 >> log; echo 3 >> log; cat log", "1\n3\n\n[exit code 0]"),
        ("echo 1 > log; echo 2 > log; cat log", "2\n\n[exit code 0]"),
        ("touch begun", "[exit code 0]"),
        ("sleep 0.01", "[exit code 0]"),
        ("echo no; exit 3", "no\n\n[exit code 3]"),
    ],
)
async def test_a_command_gives_its_output_and_exit_code(
    session: Session, command: str, text: str
) -> None:
    outcome = await session("bash", command=command)
    assert (outcome.text, outcome.is_error) == (text, "code 0" not in text)


async def test_two_commands_of_a_session_run_at_once(session: Session) -> None:
    meet = "touch {0}; until [ -e {1} ]; do sleep 0.02; done; echo {0}"
    outcomes = await asyncio.gather(
        session("bash", command=meet.format("a", "b")),
        session("bash", command=meet.format("b", "a")),
    )
    assert [outcome.text[0] for outcome in outcomes] == ["a", "b"]


async def test_a_process_of_an_earlier_attempt_can_be_ended(session: Session) -> None:
    running = asyncio.ensure_future(session("bash", command="sleep 600"))
    await session.has_started.wait()
    [identity] = session.started
    assert identity is not None
    await session.tools.end_process(identity)
    outcome = await running
    assert (outcome.text, outcome.is_error) == ("[exit code 137]", True)
    await session.tools.end_process(identity)  # harmless when it is gone


async def test_a_cancelled_command_ends(session: Session) -> None:
    running = asyncio.ensure_future(session("bash", command="sleep 600; touch late"))
    await session.has_started.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await session("list_files") == ToolOutcome("(nothing in .)")


async def test_an_artifact_is_a_copy_that_the_store_takes_over(
    session: Session, store: Store
) -> None:
    await session("write_file", path="a.txt", content="hello")
    outcome = await session("save_artifact", path="a.txt", name="A.txt")
    assert outcome.text == "Saved A.txt (5 bytes)."
    [file] = outcome.artifacts
    assert (file.name, file.media_type, file.size_bytes) == ("A.txt", "text/plain", 5)
    assert file.path.read_bytes() == b"hello"
    call_id = new_id()
    kept = await store.keep(file, kind="artifact", tool_call_id=call_id)
    assert (kept.kind, kept.name, kept.size_bytes) == ("artifact", "A.txt", 5)
    assert (kept.sha256, kept.tool_call_id) == (file.sha256, call_id)
    assert not file.path.exists()
