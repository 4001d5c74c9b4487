"""Commands for operators: `up` and its parts, `demo`, `token`, `config`, `doctor`."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

from cli.arguments.option_groups import with_output
from cli.exits import CommandError
from cli.terminal import show

HIGHEST_PORT = 65535


def up(
    api_port: Annotated[
        int | None,
        typer.Option(
            help="The gateway; 0 takes any free port. (default: PERDURE_API_PORT, 8000)",
            min=0,
            max=HIGHEST_PORT,
        ),
    ] = None,
    temporal_port: Annotated[
        int, typer.Option(help="Temporal's server.", min=0, max=HIGHEST_PORT)
    ] = 7233,
    temporal_ui_port: Annotated[
        int, typer.Option(help="Temporal's UI.", min=0, max=HIGHEST_PORT)
    ] = 8233,
    db_port: Annotated[
        int, typer.Option(help="Postgres; 0 takes any free port.", min=0, max=HIGHEST_PORT)
    ] = 0,
    *,
    scripted_model: Annotated[
        bool, typer.Option("--scripted-model", help="A scripted model answers; no key is needed.")
    ] = False,
) -> None:
    """Run everything on this machine: Postgres, Temporal, a worker, a gateway.

    Data is kept in $PERDURE_HOME (.perdure here). PERDURE_DATABASE_URL and PERDURE_TEMPORAL_ADDRESS
    name servers of your own to use instead. Ctrl-C stops all of it.
    """
    import json

    from cli.configuration import load_settings
    from cli.stack.parts import own_module

    settings = load_settings()
    ports = {
        "api": settings.api_port if api_port is None else api_port,
        "temporal": temporal_port,
        "temporal_ui": temporal_ui_port,
        "db": db_port,
    }
    options = ["--scripted-model"] if scripted_model else []
    # Replace this process, because what runs the stack does not need the command line's memory.
    command = own_module("cli.up", sys.argv[0], json.dumps(ports), *options)
    os.execv(sys.executable, command)  # noqa: S606


def worker(
    processes: Annotated[
        int | None,
        typer.Option(
            help="Worker processes. (default: PERDURE_WORKER_PROCESSES, 1)", min=1, max=64
        ),
    ] = None,
) -> None:
    """Run a worker by itself, which executes tasks until SIGTERM."""
    from cli.configuration import load_settings
    from cli.stack.parts import workers

    settings = load_settings()
    if settings.database_url is None:
        raise CommandError("Set PERDURE_DATABASE_URL, or run `perdure up`, which has its own.")
    # Replace this process: signals reach the worker directly, and this command's memory is freed.
    os.execv(sys.executable, workers(processes or settings.worker_processes))  # noqa: S606


def api() -> None:
    """Run a gateway by itself: the HTTP API."""
    from cli.configuration import load_settings
    from cli.stack.parts import own_module

    load_settings()  # reports invalid settings before anything else is imported
    os.execv(sys.executable, own_module("cli.gateway"))  # noqa: S606 - as above


def migrate() -> None:
    """Migrate the database of PERDURE_DATABASE_URL to the newest schema."""
    # Not a service: services need the schema that this creates.
    import asyncio

    from cli.configuration import load_settings
    from persistence.db.migrate import DatabaseUnavailableError, PreReleaseDatabaseError
    from persistence.db.migrate import migrate as migrate_database

    settings = load_settings()
    if settings.database_url is None:
        raise CommandError("Set PERDURE_DATABASE_URL to the database to migrate.")
    try:
        revision = asyncio.run(migrate_database(str(settings.database_url)))
    except (DatabaseUnavailableError, PreReleaseDatabaseError) as error:
        raise CommandError(str(error)) from error
    typer.echo(f"The database is at revision {revision}.")


def demo(
    *,
    keep: Annotated[
        bool, typer.Option("--keep", help="Start the stack on this home, and leave it running.")
    ] = False,
) -> None:
    """Run one real task, kill its worker twice, and show that nothing was called twice.

    Uses the stack that runs here, without killing its worker; else starts one in a temporary home
    and stops it at the end. Without ANTHROPIC_API_KEY the scripted model answers.
    """
    from cli.configuration import load_settings
    from cli.demo.running import run

    # The SDK in the worker reads its variables; here only matters whether one is set.
    has_key = any(os.environ.get(f"ANTHROPIC_{name}") for name in ("API_KEY", "AUTH_TOKEN"))
    raise typer.Exit(run(load_settings(), has_key=has_key, keep=keep))


def token(
    user: Annotated[str, typer.Option(help="The user it is for.")] = "local",
    role: Annotated[Literal["user", "admin"], typer.Option()] = "user",
    ttl: Annotated[float, typer.Option(help="Hours until it expires.", min=0.001)] = 24,
) -> None:
    """Print a token, signed with PERDURE_JWT_SECRET or this home's own secret."""
    from datetime import timedelta

    from cli.configuration import load_settings
    from cli.stack.home import Home
    from cli.tokens import mint

    settings = load_settings()
    home = Home(settings.home.absolute())
    if settings.jwt_secret is not None:
        secret = settings.jwt_secret.get_secret_value()
    elif home.jwt_secret_file.exists():
        secret = home.ensure_secret(home.jwt_secret_file)
    else:
        raise CommandError(
            f"There is no secret to sign with: {home.path} has none yet. Start `perdure up` there "
            "once, or set PERDURE_JWT_SECRET."
        )
    typer.echo(mint(secret, user=user, role=role, lives=timedelta(hours=ttl)))


@with_output
def config(*, output: str) -> None:
    """Show every setting, secrets masked."""
    from cli.configuration import describe_settings, load_settings

    show.print_answer(describe_settings(load_settings()), output, _print_settings)


def _print_settings(settings: Mapping[str, object]) -> None:
    show.print_rows(("variable", "value"), list(settings.items()), nothing="")


@with_output
def doctor(*, output: str) -> None:
    """Check this machine for what Perdure needs, and show how to repair what is missing."""
    from dataclasses import asdict

    from cli.configuration import load_settings
    from cli.doctor import State, examine
    from cli.exits import Exit

    findings = [asdict(finding) for finding in examine(load_settings())]
    show.print_answer(findings, output, _print_findings)
    if any(finding["state"] in {State.MISSING, State.PROBLEM} for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _print_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    styles = {"ok": "green", "hint": "yellow", "missing": "red", "problem": "red"}
    for finding in findings:
        state = (f"{finding['state']:8}", styles[finding["state"]])
        show.out.print_line(state, f" {finding['name']}: {finding['what']}")
        if finding["state"] != "ok":
            show.out.print(f"         {finding['fix']}", style="dim")
