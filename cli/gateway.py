"""Serves the gateway with uvicorn: `perdure api`."""

import uvicorn

from api.main import create_app
from runtime.settings import Settings

# Event streams never end by themselves; at a stop they get this long, then they are closed, and
# clients resume elsewhere with Last-Event-ID (chosen).
STOP_SECONDS = 5


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    uvicorn.run(
        create_app(settings),
        host=settings.api_host,
        port=settings.api_port,
        loop="uvloop",
        http="httptools",
        log_config=None,  # the gateway has set logging up for all libraries
        access_log=False,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
