"""Serves the gateway with uvicorn: `python -m cli.gateway`, which `perdure api` becomes.

A module of its own, because a gateway does not need the 4 MB of the command line.
"""

import asyncio
import gc

if __name__ == "__main__":
    gc.disable()  # until `freeze_loaded`

import uvicorn
from fastapi import FastAPI

from api.http.connections import Connections
from api.main import create_app
from cli.configuration import load_settings
from cli.exits import CommandError, Exit, exit_with
from persistence.db.database import Database
from persistence.db.migrate import (
    DatabaseUnavailableError,
    PreReleaseDatabaseError,
    refuse_pre_release_database,
)
from runtime.memory import freeze_loaded
from runtime.settings import Settings

# Event streams have no end: at a stop they are closed after this time, and clients resume with
# another gateway by Last-Event-ID (chosen).
STOP_SECONDS = 5


class GatewaySettingsError(CommandError):
    """The gateway can't start with these settings."""


class DatabaseRefusedError(CommandError):
    """The gateway can't use the database, and waiting does not change that."""

    exit = Exit.FAILED


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        GatewaySettingsError: a setting is missing or invalid.
        DatabaseRefusedError: the database refuses the gateway, or the gateway the database.
    """
    try:
        app = create_app(settings)
    except ValueError as error:
        raise GatewaySettingsError(str(error)) from error
    try:
        asyncio.run(check_database(str(settings.database_url)))
    except (DatabaseUnavailableError, PreReleaseDatabaseError) as error:
        raise DatabaseRefusedError(str(error)) from error
    run(app, settings)


async def check_database(database_url: str) -> None:
    """Check the database before uvicorn starts, which would print a traceback.

    Raises:
        DatabaseUnavailableError: it refuses the user, the password or the name.
        PreReleaseDatabaseError: a pre-release version created it.
    """
    database = Database.connect(database_url, pool_size=1)
    try:
        await refuse_pre_release_database(database.engine)
    finally:
        await database.close()


def run(app: FastAPI, settings: Settings) -> None:
    """Serve this application until SIGTERM or SIGINT."""
    freeze_loaded()
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http=Connections.of(settings).protocol,  # type: ignore[arg-type]  # uvicorn calls it
        log_config=None,  # the gateway has configured logging for all libraries
        access_log=False,
        server_header=False,
        proxy_headers=False,  # PERDURE_TRUSTED_PROXIES decides which are read
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def main() -> None:
    """Serve with the settings of the environment, and exit with the code."""
    exit_with(lambda: serve(load_settings()))


if __name__ == "__main__":
    main()
