"""A toolbox on a temporary directory, and calls to it as the engine makes them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import pytest

from domain.ids import new_id
from domain.rules.decisions import host_rules_of
from domain.rules.permissions import Permissions
from domain.tools.calls import OnStarted, ProcessIdentity, ToolInvocation, ToolOutcome
from domain.web.network import NO_NETWORK, NetworkList
from domain.workspaces.snapshots import FIRST_VERSION, WorkspaceVersion
from tools.limits import ToolLimits
from tools.toolbox import Toolbox

HOST = "here"


@dataclass
class SessionCalls:
    """One session's calls. `started` contains the arguments of `on_started`."""

    toolbox: Toolbox
    session_id: UUID = field(default_factory=new_id)
    user_id: UUID = field(default_factory=new_id)
    started: list[ProcessIdentity | None] = field(default_factory=list)
    network: NetworkList = NO_NETWORK
    permissions: Permissions | None = None
    version: WorkspaceVersion = FIRST_VERSION

    @property
    def workspace(self) -> Path:
        return self.toolbox.workspace(self.session_id)

    def invocation(self, name: str, /, **tool_input: Any) -> ToolInvocation:
        permissions = self.permissions or Permissions(allowed=[name])
        rules = host_rules_of(permissions, name, tool_input, is_approved=False)
        return ToolInvocation(
            new_id(),
            self.session_id,
            "toolu_1",
            name,
            tool_input,
            user_id=self.user_id,
            network=self.network,
            host_rules=rules,
            workspace=self.version,
        )

    async def record(self, identity: ProcessIdentity | None) -> None:
        self.started.append(identity)

    async def __call__(self, name: str, /, **tool_input: Any) -> ToolOutcome:
        return await self.run(self.invocation(name, **tool_input))

    async def run(
        self, invocation: ToolInvocation, on_started: OnStarted | None = None
    ) -> ToolOutcome:
        return await self.toolbox.run(invocation, on_started=on_started or self.record)

    async def text(self, name: str, /, **tool_input: Any) -> str:
        """What a call gives that must succeed."""
        outcome = await self(name, **tool_input)
        assert not outcome.is_error, outcome.text
        return outcome.text

    async def refusal(self, name: str, /, **tool_input: Any) -> str:
        """What a call gives that must fail."""
        outcome = await self(name, **tool_input)
        assert outcome.is_error, outcome.text
        return outcome.text

    async def bash(self, command: str) -> str:
        """What a command prints, whatever its exit code."""
        return (await self("bash", command=command)).text


Sandbox = Literal["auto", "none"]
MakeCalls = Callable[..., SessionCalls]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that other processes do; the test's own time limit ends it."""
    while not condition():  # noqa: ASYNC110 # files and processes of others set no event
        await asyncio.sleep(0.005)


@pytest.fixture
def make_calls(tmp_path: Path) -> MakeCalls:
    def make(sandbox: Sandbox = "auto", limits: ToolLimits | None = None) -> SessionCalls:
        root = tmp_path / "workspaces"
        return SessionCalls(Toolbox(root, host_id=HOST, sandbox=sandbox, limits=limits))

    return make


@pytest.fixture
def call(make_calls: MakeCalls) -> SessionCalls:
    """Calls into the sandbox."""
    return make_calls()


@pytest.fixture(params=["auto", "none"])
def any_call(request: pytest.FixtureRequest, make_calls: MakeCalls) -> SessionCalls:
    """Calls into the sandbox, and unprotected ones."""
    return make_calls(request.param)
