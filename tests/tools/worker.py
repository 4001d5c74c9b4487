"""A process with a toolbox of its own, for tests that kill it or take things away from it.

Started as `python -m tests.tools.worker ROOT SANDBOX COMMAND STOP [USER]`: runs the command in a
workspace below ROOT and prints one line: the argument of `on_started`, or the outcome. STOP is
`at-gate` (never lets the command go), `before` (stops as the sandbox is being set up), or `never`.
"""

import asyncio
import concurrent.futures
import errno
import os
import sys
from pathlib import Path
from uuid import UUID

from seccompy import Filter

from domain.errors import SandboxUnavailableError
from domain.tools.calls import ProcessIdentity, ToolInvocation
from tools.toolbox import Toolbox

SESSION = UUID(int=7)


def send(text: str) -> None:
    """Send a line to the test."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def main(root: str, sandbox: str, command: str, stop: str) -> None:
    """Run one command, and stop at the given point."""
    toolbox = Toolbox(Path(root), host_id="here", sandbox="none" if sandbox == "none" else "auto")
    call = ToolInvocation(
        SESSION, SESSION, "toolu_1", "bash", {"command": command}, user_id=SESSION
    )

    async def on_started(identity: ProcessIdentity | None) -> None:
        assert identity is not None
        send(str(identity.process_group))
        if stop == "at-gate":
            await asyncio.Event().wait()

    try:
        if stop == "probe":
            send(str(await toolbox.probe()))
        outcome = await toolbox.run(call, on_started=on_started)
        send(outcome.text.replace("\n", " "))
    except SandboxUnavailableError as error:
        send(error.detail)


def become(user: int) -> None:
    """Become this user permanently."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def lose_namespaces() -> None:
    """Forbid namespaces, as the profile of a container does."""
    rules = Filter()
    rules.errno("unshare", errno.EPERM)
    rules.errno("clone", errno.EPERM, args=[(0, 6, 0x10000000, 0x10000000)])
    rules.errno("clone3", errno.ENOSYS)
    rules.load()


if __name__ == "__main__":
    # Later imports may be in a directory that only root can enter.
    concurrent.futures.ThreadPoolExecutor().shutdown()
    match sys.argv[5:]:
        case ["without-namespaces"]:
            lose_namespaces()
        case [user]:
            become(int(user))
    asyncio.run(main(*sys.argv[1:5]))
