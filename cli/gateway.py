"""Serves the gateway with uvicorn: `python -m cli.gateway`, which `perdure api` becomes.

A process of its own module, because the command line is 4 MB that a gateway has no use for.
"""

import uvicorn

from api.main import create_app
from cli.configuration import load
from cli.exits import CommandError, leave_after
from runtime.settings import Settings

# Event streams never end by themselves; at a stop they get this long, then they are closed, and
# clients resume elsewhere with Last-Event-ID (chosen).
STOP_SECONDS = 5


class GatewaySettingsError(CommandError):
    """The gateway can't be composed from the settings."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        GatewaySettingsError: a setting is missing or is wrong.
    """
    try:
        app = create_app(settings)
    except ValueError as error:
        raise GatewaySettingsError(str(error)) from error
    uvicorn.run(
        app,
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        log_config=None,  # the gateway has set logging up for all libraries
        access_log=False,
        server_header=False,
        proxy_headers=False,  # PERDURE_TRUSTED_PROXIES says whose to believe
        timeout_graceful_shutdown=STOP_SECONDS,
    )


def main() -> None:
    """Serve with the settings of the environment, and leave with the exit code."""
    leave_after(lambda: serve(load()))


if __name__ == "__main__":
    main()
