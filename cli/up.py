"""`perdure up`: hold the home, run the stack, say when it is ready, stop it cleanly."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress

from cli.doctor import State, model
from cli.exits import Exit
from cli.stack.assembly import Ports, Stack
from cli.stack.home import Home
from cli.stack.leftovers import end_leftovers
from cli.stack.logs import keep_small
from cli.stack.process import PartFailedError
from runtime.settings import Settings


def run(settings: Settings, ports: Ports, *, scripted_model: bool) -> Exit:
    """Run until a signal asks for the end; returns the command's exit code.

    Raises:
        AlreadyRunningError: another one holds this home.
        PortInUseError: a port is taken.
    """
    if not scripted_model and (finding := model()).state is not State.OK:
        say(f"{finding.what}. {finding.fix}")
    os.umask(0o077)  # histories and logs are as private as the secrets beside them
    home = Home.open(settings.home)
    with home.held():
        end_leftovers(home)
        home.ready_file.unlink(missing_ok=True)
        stack = Stack(settings, home, ports, scripted_model=scripted_model, say=say)
        return asyncio.run(_serve(stack, home))


def say(sentence: str) -> None:
    """Print a message to stderr; stdout contains only the ready line."""
    print(f"perdure: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - a command speaks


async def _serve(stack: Stack, home: Home) -> Exit:
    code = Exit.DONE
    asked_to_stop = asyncio.Event()
    _on_signals(asked_to_stop.set)
    trimming = asyncio.create_task(keep_small(home.logs))
    try:
        if await _started(stack, asked_to_stop):
            say(f"logs are in {home.logs}, addresses and a token in {home.ready_file}")
            print(_ready_line(stack), flush=True)  # noqa: T201 - the line others wait for
            await asked_to_stop.wait()
    except* PartFailedError as failures:
        code = Exit.FAILED
        for failure in failures.exceptions:
            say(str(failure))
    finally:
        trimming.cancel()
        say("stopping; the worker finishes its current steps (press Ctrl-C again to stop at once)")
        _on_signals(stack.kill)
        await stack.stop()
        say("stopped")
    return code


async def _started(stack: Stack, asked_to_stop: asyncio.Event) -> bool:
    """Start the stack; False when a signal came first."""
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not starting.done():
        starting.cancel()
        with suppress(asyncio.CancelledError):
            await starting
        return False
    await starting
    return True


def _on_signals(act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup means: ignore SIGHUP
            loop.add_signal_handler(number, act)


def _ready_line(stack: Stack) -> str:
    words = [f"ready api={stack.api_url}", f"ui={stack.api_url}/"]
    if stack.temporal_ui_url:
        words.append(f"temporal_ui={stack.temporal_ui_url}")
    return " ".join(words)
