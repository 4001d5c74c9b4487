"""Commands that run Perdure: `up`, and its parts `worker`, `api`, `migrate` by themselves."""

import os
import sys
from typing import Annotated

import typer

from cli.exits import CommandError

HIGHEST_PORT = 65535


def add_to(app: typer.Typer) -> None:
    """Put these commands into the application."""
    for command in (up, worker, api, migrate):
        app.command()(command)


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
        bool, typer.Option("--scripted-model", help="A scripted model answers, no key is needed.")
    ] = False,
) -> None:
    """Run everything on this machine: Postgres, Temporal, a worker, a gateway.

    Data is kept in $PERDURE_HOME (.perdure here). PERDURE_DATABASE_URL and PERDURE_TEMPORAL_ADDRESS
    take servers of your own instead. Ctrl-C stops all of it.
    """
    from cli.configuration import load
    from cli.stack.assembly import Ports
    from cli.up import run

    settings = load()
    ports = Ports(
        api=settings.api_port if api_port is None else api_port,
        temporal=temporal_port,
        temporal_ui=temporal_ui_port,
        db=db_port,
    )
    raise typer.Exit(run(settings, ports, scripted_model=scripted_model))


def worker() -> None:
    """Run a worker by itself: it moves executions forward until SIGTERM."""
    from cli.configuration import load

    if load().database_url is None:
        raise CommandError("Set PERDURE_DATABASE_URL, or run `perdure up`, which brings its own.")
    # Become it: signals reach it directly and this command's own memory is given back.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "worker"])  # noqa: S606


def api() -> None:
    """Run a gateway by itself: the HTTP API."""
    from cli.configuration import load

    load()  # what is wrong is told before anything else is loaded
    os.execv(sys.executable, [sys.executable, "-P", "-m", "cli.gateway"])  # noqa: S606 - as above


def migrate() -> None:
    """Bring the database of PERDURE_DATABASE_URL to the newest schema."""
    import asyncio

    from cli.configuration import load
    from persistence.db.migrate import migrate as bring_up_to_date

    settings = load()
    if settings.database_url is None:
        raise CommandError("Set PERDURE_DATABASE_URL to the database to migrate.")
    revision = asyncio.run(bring_up_to_date(str(settings.database_url)))
    typer.echo(f"The database is at revision {revision}.")
