"""`perdure down`, `perdure status` and `perdure logs`: the stack of `perdure up` on this home."""

import os
import signal
import time
from typing import Annotated, Any

import typer

from cli.arguments.option_groups import with_output
from cli.connection.endpoint import UnreachableError, home
from cli.exits import CommandError, Exit
from cli.terminal import show
from domain.health import ComponentState

STOP_SECONDS = 90.0
"""The longest stop: a worker completes its current steps, then the servers stop."""
POLL_SECONDS = 0.1
DEFAULT_LINES = 20
HEALTH_SECONDS = 5.0


def _require_stack() -> None:
    if not home().path.exists() or not home().is_held():
        raise UnreachableError(f"No Perdure runs on {home().path}. Start one with `perdure up`.")


def down() -> None:
    """Stop what `perdure up` runs on this home, and wait until it has stopped.

    Executions continue when it runs again.
    """
    _require_stack()
    facts = home().read_ready()
    if facts is None:
        raise CommandError("It is starting or stopping; try again in a moment.")
    os.kill(facts["pids"]["supervisor"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    with show.err.status("stopping; the worker completes its current steps"):
        while home().is_held():
            if time.monotonic() > deadline:
                raise CommandError(
                    f"It has not stopped after {STOP_SECONDS:.0f} s; see `perdure logs`."
                )
            time.sleep(POLL_SECONDS)
    show.out.print("Stopped. Executions continue at the next `perdure up`.")


@with_output
def status(*, output: str) -> None:
    """Show the addresses and processes of this home's stack.

    Exit codes: 0 all parts run, 1 one is down or no worker answers, 3 no stack runs.
    """
    import httpx2

    from cli.doctor import NO_WORKER

    _require_stack()
    facts = home().read_ready()
    if facts is None:
        raise UnreachableError("It is starting or stopping; try again in a moment.")
    try:
        health = httpx2.get(
            f"{facts['api_url']}/health/ready", timeout=HEALTH_SECONDS, trust_env=False
        ).json()
    except httpx2.TransportError as error:
        raise UnreachableError(f"The gateway does not answer: {error}") from error
    facts.pop("token")
    show.print_answer({**facts, "health": health}, output, _print_status)
    has_workers = health.get("workers") != ComponentState.UNAVAILABLE
    if not has_workers:
        show.err.print(NO_WORKER)
    if None in facts["pids"].values() or not has_workers:
        raise typer.Exit(Exit.FAILED)


def _print_status(facts: dict[str, Any]) -> None:
    show.print_fields(
        {
            "home": str(home().path),
            "inbox": facts["ui_url"],
            "API": f"{facts['api_url']}/docs",
            "Temporal": facts["temporal_ui_url"] or facts["temporal_address"],
            "model": _describe_model(facts),
            **{name: f"process {pid}" if pid else "down" for name, pid in facts["pids"].items()},
            "health": ", ".join(f"{name} {value}" for name, value in facts["health"].items()),
        }
    )


def _describe_model(facts: dict[str, Any]) -> str:
    if "scripted_model" in facts["pids"]:
        return "the scripted model"
    if facts.get("has_model", True):
        return "Claude"
    return "none: set ANTHROPIC_API_KEY where `perdure up` runs, and restart it"


def logs(
    component: Annotated[
        str | None,
        typer.Argument(metavar="[COMPONENT]", help="worker, api, postgres, … (default: all)"),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many last lines of each.")
    ] = DEFAULT_LINES,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines, too.")] = False,
) -> None:
    """Show the logs of this home's stack, also after it has stopped."""
    found = sorted(home().logs.glob("*.log"))
    chosen = [log for log in found if component in (None, log.stem)]
    if not chosen:
        if not found:
            raise CommandError(f"There are no logs in {home().logs}. `perdure up` writes them.")
        known = ", ".join(log.stem for log in found)
        raise CommandError(f"There is no log of {component}; there are: {known}.")
    files = {log.stem: log.open(encoding="utf-8", errors="replace") for log in chosen}
    is_named = len(files) > 1
    for name, file in files.items():
        for line in file.readlines()[-lines:] if lines else file.readlines()[:0]:
            _print_line(name, line, is_named=is_named)
    try:
        while follow:
            for name, file in files.items():
                for line in file.readlines():
                    _print_line(name, line, is_named=is_named)
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        return


def _print_line(name: str, line: str, *, is_named: bool) -> None:
    label = (f"{name:14}  ", "dim") if is_named else ""
    show.out.print_line(label, line.rstrip("\n"))
