"""The sizes of workspaces are recorded, and those of deleted sessions are deleted."""

from persistence.tables.sessions import SessionRow
from runtime.host import host_id
from services import storage
from tests.engine.driver import use
from tests.waiting import eventually
from tests.workflows.system import System
from tools.toolbox import Toolbox

MIB = 1024 * 1024


async def test_a_workspace_counts_until_its_session_is_deleted(system: System) -> None:
    engine = system.engine
    script = "import os; [(os.mkdir('d'), os.chdir('d')) for _ in range(1200)]"
    command = f'python3 -c "{script}"; head -c 3M /dev/zero >f'
    run = await engine.run_to_completion(
        {"tool_use": use("bash", command=command)}, {"text": "done"}, allowed_tools=["bash"]
    )
    session_id = (await run.row()).session_id
    assert session_id is not None
    workspace = engine.home / "workspaces" / str(session_id)
    assert workspace.exists()
    assert 3 * MIB <= await read_recorded(system, session_id) < 20 * MIB
    assert (await system.client.delete(f"/api/v1/sessions/{session_id}")).status_code == 204
    tools = Toolbox(engine.home / "workspaces", host_id="here")

    async def is_deleted() -> bool:
        """The worker may be deleting it too."""
        await storage.delete_workspaces(engine.database, host_id(engine.home), tools.remove)
        return not workspace.exists() and await read_recorded(system, session_id) == 0

    await eventually(is_deleted, what="the deletion of the workspace")


async def read_recorded(system: System, session_id: object) -> int:
    async with system.engine.database.reading() as session:
        return (await session.get_one(SessionRow, session_id)).workspace_bytes
