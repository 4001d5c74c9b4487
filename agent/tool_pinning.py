"""Pins the tools of MCP servers before the first model call of an execution."""

import hashlib
import json
from dataclasses import fields, replace

from agent import events
from agent.attempt import Attempt
from agent.interrupts import WorkInterruptedError
from agent.ports import RemoteTools
from domain.errors import ErrorCode, PerdureError
from domain.executions.outcomes import Outcome, Stop
from domain.executions.steps import Failure, Snapshot, Step
from domain.mcp.tools import RemoteScope, pin
from domain.model.calls import Prefix
from domain.web.network import NetworkList
from domain.workspaces.snapshots import WorkspaceVersion


def scope_of(snapshot: Snapshot, workspace: WorkspaceVersion) -> RemoteScope:
    """Return what MCP servers are used for, and the current version of the workspace."""
    return RemoteScope(
        execution_id=snapshot.execution_id,
        user_id=snapshot.user_id,
        session_id=snapshot.session_id,
        servers=snapshot.definition.get("sdk_options", {}).get("mcp_servers", {}),
        workspace=workspace,
        working_directory=snapshot.definition.get("working_directory_path"),
        network=NetworkList.parse(snapshot.prefix.network),
    )


async def pin_tools(attempt: Attempt, remote: RemoteTools) -> Snapshot | Stop:
    """List the tools, and store the prefix with those that the execution offers.

    Return the snapshot with that prefix, or why the execution stops. A server that can't be used
    fails the execution, because its task relies on its tools.
    """
    snapshot = attempt.state.snapshot
    if (stop := await attempt.record_end()) is not None:
        return stop
    try:
        # A message that interrupts has nothing to stop yet.
        async with attempt.interruptible(by_messages=False):
            listed = await remote.list_tools(scope_of(snapshot, attempt.state.workspace))
    except WorkInterruptedError:
        return await attempt.record_end() or Stop(Outcome.HANDED_OVER)
    except PerdureError as error:
        attempt.failure = Failure(ErrorCode.TOOL_FAILED, error.detail)
        return await attempt.record_end() or Stop(Outcome.HANDED_OVER)
    pins = pin(listed, snapshot.permissions)
    prefix = replace(
        snapshot.prefix, tools=[*snapshot.prefix.tools, *pins.definitions], mcp=pins.as_json()
    )
    text = json.dumps({field.name: getattr(prefix, field.name) for field in fields(Prefix)})
    await attempt.write(Step(prefix=text, events=[events.tools_pinned(pins)]))
    return replace(snapshot, prefix=prefix, prefix_sha256=hashlib.sha256(text.encode()).digest())
