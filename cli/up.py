"""`perdure up`: lock the home, run the stack, report when it is ready, stop it cleanly.

The command becomes `python -m cli.up STARTED_AS PORTS [--scripted-model]`: the path by which it was
started, and the ports as JSON.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress

from cli.configuration import load_settings
from cli.doctor import State, model
from cli.exits import Exit, exit_with
from cli.program import program
from cli.stack import postgres
from cli.stack.assembly import Ports, Stack
from cli.stack.home import Home
from cli.stack.logs import keep_logs_small
from cli.stack.process import PartFailedError
from runtime.settings import Settings


def run(settings: Settings, ports: Ports, *, scripted_model: bool) -> Exit:
    """Run until a signal, and return the exit code.

    Raises:
        AlreadyRunningError: another one runs on this home.
        PortInUseError: a port is taken.
    """
    os.umask(0o077)  # histories and logs are as private as the secrets beside them
    home = Home.open(settings.home)
    with home.lock():
        if home.ready_file.exists() or postgres.pid_file(home.postgres_data).exists():
            from cli.stack.leftovers import end_leftovers  # psutil needs 4 MB

            end_leftovers(home)
        home.ready_file.unlink(missing_ok=True)
        stack = Stack(settings, home, ports, scripted_model=scripted_model, report=report)
        return asyncio.run(_serve(stack, home))


def report(sentence: str) -> None:
    """Print for people; stdout has only the ready line."""
    print(f"perdure: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 - a command prints


async def _serve(stack: Stack, home: Home) -> Exit:
    code = Exit.DONE
    stop_requested = asyncio.Event()
    _on_signals(stop_requested.set)
    trimming = asyncio.create_task(keep_logs_small(home.logs))
    try:
        if await _start(stack, stop_requested):
            for sentence in _next_steps(stack, home):
                report(sentence)
            print(_ready_line(stack), flush=True)  # noqa: T201 - the line that scripts wait for
            await stop_requested.wait()
    except* PartFailedError as failures:
        code = Exit.FAILED
        for failure in failures.exceptions:
            report(str(failure))
    finally:
        trimming.cancel()
        report("stopping; the worker completes its current steps (Ctrl-C again ends it at once)")
        _on_signals(stack.kill)
        await stack.stop()
        report("stopped")
    return code


def _next_steps(stack: Stack, home: Home) -> Iterator[str]:
    """What answers, where everything is, and what to do next."""
    if stack.is_scripted:
        yield "the scripted model answers: no Claude model is called and nothing is charged"
    elif model().state is State.OK:
        yield f"model: {stack.default_model} answers tasks that name no other ({model().what})"
    else:
        yield f"model: none. {model().fix}"
    yield f"inbox: {stack.api_url}/ (sign in with `{program()} inbox open`); API: /docs"
    yield f"logs are in {home.logs}, addresses and a token in {home.ready_file}"
    yield f"next, in another terminal: {program()} demo, or {program()} run FILE"


async def _start(stack: Stack, stop_requested: asyncio.Event) -> bool:
    """Start the stack; False when a signal came first."""
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop_requested.wait())
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
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores SIGHUP
            loop.add_signal_handler(number, act)


def _ready_line(stack: Stack) -> str:
    words = [f"ready api={stack.api_url}", f"ui={stack.api_url}/"]
    if stack.temporal_ui_url:
        words.append(f"temporal_ui={stack.temporal_ui_url}")
    return " ".join(words)


def main() -> None:
    """Run with the settings of the environment, and exit with the code."""
    started_as, ports, *options = sys.argv[1:]
    sys.argv = [started_as]
    is_scripted = "--scripted-model" in options
    exit_with(lambda: run(load_settings(), Ports(**json.loads(ports)), scripted_model=is_scripted))


if __name__ == "__main__":
    main()
