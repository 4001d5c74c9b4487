"""Composition root of the gateway: `uvicorn --factory api.main:create_app`. No logic."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import links, openapi, problems
from api.allowances import Allowances
from api.auth import Authenticator
from api.edge import Edge
from api.gateway import Gateway
from api.rates import Rates
from api.routes import (
    agents,
    artifacts,
    audit,
    execute,
    executions,
    health,
    input_requests,
    reports,
    sessions,
    steering,
    stories,
    task_versions,
    tasks,
    users,
)
from api.tokens import Tokens
from api.watching import Watcher
from persistence.blobs import BlobStore
from persistence.database import Database
from persistence.hot_reads import HotReads
from persistence.migrate import head_revision
from persistence.quotas import Quotas
from runtime.dispatch import Dispatcher
from runtime.settings import Settings
from runtime.telemetry import set_up_logging
from runtime.temporal import connect

VERSION = "1"

FEATURES = (
    tasks,
    task_versions,
    agents,
    execute,
    executions,
    steering,
    stories,
    reports,
    input_requests,
    sessions,
    artifacts,
    audit,
    users,
)
"""Modules whose `router` is served under `/api/v1`; a new feature is one more."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """The gateway, composed from `settings` or from the environment.

    Raises:
        ValueError: a setting is missing without which nothing can be served.
    """
    settings = settings or Settings()
    set_up_logging(settings.log_level, settings.log_format)
    if settings.database_url is None:
        raise ValueError("Set PERDURE_DATABASE_URL, or run `perdure up`, which brings its own.")
    tokens = Tokens.of(settings)
    database_url = str(settings.database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database = Database.connect(database_url, pool_size=settings.database_pool_size)
        hot_reads = await HotReads.connect(database_url)
        temporal = await connect(settings, lazy=True)
        watcher = Watcher(database, hot_reads, database_url)
        app.state.gateway = Gateway(
            settings=settings,
            database=database,
            hot_reads=hot_reads,
            blobs=BlobStore(settings.home / "artifacts"),
            temporal=temporal,
            dispatcher=Dispatcher(temporal),
            authenticator=Authenticator(tokens, database, Rates.maybe(settings.failed_auth_limit)),
            allowances=Allowances(
                Quotas(
                    settings.max_concurrent_executions_per_user, settings.max_usd_per_user_per_day
                )
            ),
            rates=Rates.maybe(settings.rate_limit),
            watcher=watcher,
            newest_revision=head_revision(),
        )
        async with watcher.running():
            yield
        await tokens.close()
        await hot_reads.close()
        await database.close()

    app = FastAPI(title=openapi.TITLE, version=VERSION, lifespan=lifespan, redoc_url=None)
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # FastAPI's own way
    app.add_middleware(Edge)
    problems.register(app)
    for feature in FEATURES:
        app.include_router(feature.router, prefix=links.BASE)
    app.include_router(health.router)
    return app
