"""The tool read_artifact: which artifacts an execution may read, and in which parts."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select

from domain.ids import new_id
from domain.tools.calls import ProcessIdentity, ToolInvocation, ToolOutcome
from persistence.tables.sessions import ArtifactRow
from services.task_artifacts import TaskArtifacts
from tests.engine.driver import Engine, Run, use
from tests.workflows.test_subtasks import LAST_RESULT, delegate, find_child
from tools.limits import ToolLimits
from tools.stores import ToolStores
from tools.toolbox import Toolbox

TOOLS = ["delegate", "ask_user", "bash", "save_artifact", "read_artifact"]
PART_BYTES = 10


async def test_a_parent_reads_what_a_subtask_saved(engine: Engine) -> None:
    """A person sends the id, because a script can't choose a part of a result."""
    part = delegate(
        {"tool_use": use("bash", command="echo from the child > a.txt")},
        {"tool_use": use("save_artifact", path="a.txt")},
        {"text": "saved"},
    )
    run = await engine.start(
        {"tool_use": part},
        {"tool_use": use("ask_user", question="{last_tool_result}")},
        {"tool_use": use("read_artifact", artifact_id="{last_tool_result}")},
        LAST_RESULT,
        allowed_tools=TOOLS,
    )
    request = await run.wait_for_request()
    child = await find_child(run)
    artifact_id = await saved_by(child)
    _, saving = await child.tool_calls()
    note = f"(For read_artifact: a.txt is the artifact {artifact_id}.)"
    assert saving.output == f"Saved a.txt (15 bytes).\n{note}"
    assert "read_artifact returns the text of an artifact." in request.title
    await run.answer(request, message=str(artifact_id))
    await run.wait_for_end()
    assert await run.text() == "a.txt (text/plain, 15 bytes)\n\nfrom the child\n"


async def saved_by(run: Run) -> UUID:
    async with run.engine.database.reading() as session:
        query = select(ArtifactRow.id).where(ArtifactRow.execution_id == run.id)
        return (await session.scalars(query)).one()


@pytest.fixture
async def saved(engine: Engine) -> ArtifactRow:
    content = "äöü" * 4 + "\n"
    stored = await engine.services.blobs.add(content.encode())
    run = await engine.run_to_completion({"text": "done"})
    row = ArtifactRow(
        user_id=engine.user_id,
        execution_id=run.id,
        kind="artifact",
        name="letters.txt",
        media_type="text/plain",
        size_bytes=stored.size_bytes,
        sha256=stored.sha256,
    )
    async with engine.database.transaction() as session:
        session.add(row)
    return row


async def read(
    engine: Engine, home: Path, execution_id: UUID | None, artifact_id: object, offset: int = 0
) -> ToolOutcome:
    """Call the tool on behalf of an execution."""
    toolbox = Toolbox(
        home / "w",
        host_id="here",
        limits=replace(ToolLimits(), preview_bytes=PART_BYTES),
        stores=ToolStores(artifacts=TaskArtifacts(engine.services)),
    )
    given = {"artifact_id": str(artifact_id), "offset": offset}
    assert execution_id is not None
    call = ToolInvocation(
        execution_id, new_id(), "toolu_1", "read_artifact", given, user_id=engine.user_id
    )

    async def on_started(_: ProcessIdentity | None) -> None:
        raise AssertionError("a read has no effect to record")

    return await toolbox.run(call, on_started=on_started)


async def test_a_long_text_is_read_in_parts(
    engine: Engine, saved: ArtifactRow, tmp_path: Path
) -> None:
    first = await read(engine, tmp_path, saved.execution_id, saved.id)
    assert first.text == (
        "letters.txt (text/plain, 25 bytes)\n\näöüäö\n\n"
        "(… Bytes 0 to 10 of 25. Continue with offset 10. …)"
    )
    last = await read(engine, tmp_path, saved.execution_id, saved.id, offset=20)
    assert last.text.endswith("\n\nöü\n\n\n(… Bytes 20 to 25 of 25. …)")
    odd = await read(engine, tmp_path, saved.execution_id, saved.id, offset=21)
    assert odd.text.endswith("\n\nü\n\n\n(… Bytes 22 to 25 of 25. …)")
    beyond = await read(engine, tmp_path, saved.execution_id, saved.id, offset=26)
    assert (beyond.is_error, beyond.text) == (True, "The file has 25 bytes; use a smaller offset.")


async def test_only_related_executions_read_an_artifact(
    engine: Engine, saved: ArtifactRow, tmp_path: Path
) -> None:
    async def may_read(**columns: object) -> bool:
        reader = await engine.run_to_completion({"text": "done"}, columns=columns)
        return not (await read(engine, tmp_path, reader.id, saved.id)).is_error

    assert not await may_read()
    assert await may_read(forked_from_id=saved.execution_id)
    for wrong in (new_id(), "x"):
        outcome = await read(engine, tmp_path, saved.execution_id, wrong)
        assert outcome.is_error
        assert "Use an id from the result of a tool or of a subtask." in outcome.text
