"""Composition root of the gateway: `uvicorn --factory api.main:create_app`. No logic."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from api.agents import routes as agents
from api.artifacts import routes as artifacts
from api.audit import routes as audit
from api.auth.authentication import REMEMBERED_SECONDS, Authenticator
from api.auth.browser_sessions import SessionBox
from api.auth.identity_providers import open_provider
from api.auth.rate_limits import AtOnce, Rates
from api.auth.tokens import Tokens
from api.executions import control_routes, start_routes, trees
from api.executions import routes as executions
from api.files import routes as files
from api.gateway import Gateway
from api.groups import routes as groups
from api.health import routes as health
from api.hooks import routes as hooks
from api.http import openapi, problems
from api.http.host_policy import HostPolicy
from api.http.middleware import REQUEST_HEADERS, RESPONSE_HEADERS, RequestMiddleware
from api.input_requests import remembered_routes as remembered_decisions
from api.input_requests import routes as input_requests
from api.input_requests import view_routes as inbox_views
from api.live_updates import LiveUpdates
from api.mcp import resource_metadata
from api.mcp.lazy_endpoint import LazyMcpEndpoint
from api.mcp_servers import routes as mcp_servers
from api.memory import routes as memory
from api.notifications import routes as notifications
from api.plans import routes as plans
from api.queue import routes as queue
from api.queue.gauges import QueueGauges
from api.queue.waiting import QueueWaits
from api.reports import routes as reports
from api.schedules import routes as schedules
from api.secrets import routes as secrets
from api.sessions import routes as sessions
from api.sign_in_codes import routes as sign_in_codes
from api.slack import routes as slack
from api.task_templates import routes as task_templates
from api.tasks import routes as tasks
from api.timeline import routes as timeline
from api.tool_groups import routes as tool_groups
from api.usage import routes as usage
from api.users import admin_routes as admin
from api.users import routes as users
from api.web import (
    account_routes,
    assets,
    bulk_routes,
    catalogue_routes,
    execution_routes,
    inbox_routes,
    ledger_routes,
    link_routes,
    plan_routes,
    remembered_routes,
    session_routes,
    sign_in_routes,
    task_routes,
)
from api.web import routes as docs
from api.web.definitions import DEFINITIONS
from api.web.page_route import handle_unknown_path
from composition import compose_services
from persistence.db.database import Database
from persistence.db.write_check import WriteCheck
from persistence.executions.cached_reads import CachedReads
from runtime.mcp_health import HealthChecker
from runtime.outbound import Outbound
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.telemetry import set_up_logging
from runtime.temporal import connect

VERSION = "1"

POOL_SECONDS = 5.0
"""Timeout for a connection: shorter than client timeouts, so that clients get a 503 (chosen)."""

UPLOADS_AT_ONCE = 4
"""Of one user: each may occupy the disk with a file of the maximum size (chosen)."""

FEATURES = (
    # Routes are matched in this order: the most used ones come first.
    executions,
    input_requests,
    users,
    queue,
    tasks,
    schedules,
    hooks,
    task_templates,
    tool_groups,
    mcp_servers,
    agents,
    control_routes,  # its /bulk routes come before those with an {execution_id}
    start_routes,
    trees,
    plans,
    files,
    timeline,
    reports,
    secrets,
    remembered_decisions,
    inbox_views,
    groups,
    notifications,
    sessions,
    artifacts,
    memory,
    audit,
    usage,
    sign_in_codes,
    admin,
)
"""Modules whose `router` has routes under `/api/v1`."""

UNVERSIONED = (resource_metadata, health, slack)
"""Modules whose `router` has routes that other systems expect at their own paths."""

PAGES = (
    docs,
    assets,
    sign_in_routes,
    bulk_routes,
    inbox_routes,
    link_routes,
    execution_routes,
    task_routes,
    session_routes,
    plan_routes,
    catalogue_routes,
    *DEFINITIONS,
    remembered_routes,
    ledger_routes,
    account_routes,
)
"""Modules whose `router` serves pages for browsers."""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Compose the gateway from `settings` or from the environment.

    Raises:
        ValueError: a required setting is missing.
    """
    settings = settings or Settings()
    set_up_logging(settings.log_level, settings.log_format)
    if settings.database_url is None:
        raise ValueError(
            "PERDURE_DATABASE_URL is not set. Set it, or run `perdure up`, which starts a database."
        )
    tokens = Tokens.of(settings)
    mcp = LazyMcpEndpoint(settings, version=VERSION)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        database_url = str(settings.database_url)
        async with (
            open_gateway(settings, database_url, tokens) as app.state.gateway,
            open_provider(settings) as app.state.identity_provider,
            mcp.running(),
        ):
            yield

    app = FastAPI(
        title=openapi.TITLE,
        version=VERSION,
        lifespan=lifespan,
        openapi_url=None,
        redoc_url=None,
        servers=[{"url": settings.public_url or "/", "description": "This gateway."}],
    )
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]  # FastAPI's documented way
    openapi.serve(app)
    _wrap(app, settings)
    problems.register(app)
    app.add_exception_handler(404, handle_unknown_path)
    # The routes themselves: `include_router` would match each request twice, in each router.
    app.router.routes += [route for feature in FEATURES for route in feature.router.routes]
    app.router.routes.append(mcp.route)
    app.router.routes += [route for feature in UNVERSIONED for route in feature.router.routes]
    app.router.routes += [route for pages in PAGES for route in pages.router.routes]
    return app


@asynccontextmanager
async def open_gateway(
    settings: Settings, database_url: str, tokens: Tokens
) -> AsyncIterator[Gateway]:
    """The components of a gateway, closed when the block ends."""
    async with AsyncExitStack() as stack:
        gateway = await _compose(settings, database_url, tokens, stack)
        await stack.enter_async_context(gateway.services.models.keep_current())
        await stack.enter_async_context(gateway.watcher.running())
        await stack.enter_async_context(gateway.queue_waits.running())
        yield gateway


async def _compose(
    settings: Settings, database_url: str, tokens: Tokens, stack: AsyncExitStack
) -> Gateway:
    """Open the components; `stack` closes them, the last one first."""
    database = Database.connect(
        database_url, pool_size=settings.database_pool_size, pool_seconds=POOL_SECONDS
    )
    stack.push_async_callback(database.close)
    cached_reads = await CachedReads.connect(database_url)
    stack.push_async_callback(cached_reads.close)
    temporal = await connect(settings, lazy=True)
    outbound = Outbound(settings.outbound_allow)
    stack.push_async_callback(outbound.aclose)
    mcp_health = HealthChecker(outbound)
    stack.push_async_callback(mcp_health.close)
    stack.push_async_callback(tokens.close)
    authenticator = Authenticator(tokens, database, Rates.maybe(settings.failed_auth_limit))
    schemas = IsolatedEvaluator(is_metered=True)
    stack.push_async_callback(schemas.close)
    services = compose_services(
        settings,
        database,
        temporal,
        outbound,
        schemas,
        remembered_seconds=REMEMBERED_SECONDS,
        user_caches=(authenticator,),
    )
    return Gateway(
        settings=settings,
        database=database,
        cached_reads=cached_reads,
        temporal=temporal,
        authenticator=authenticator,
        browser_sessions=SessionBox.of(settings),
        services=services,
        rates=Rates.maybe(settings.rate_limit),
        requests=AtOnce(settings.max_concurrent_requests_per_user, "requests"),
        uploads=AtOnce(UPLOADS_AT_ONCE, "uploads"),
        streams=AtOnce(settings.max_streams_per_user, "event streams"),
        notification_tests=Rates.maybe(settings.notification_test_limit),
        write_check=WriteCheck(database.engine),
        watcher=LiveUpdates(database, cached_reads, database_url, services.user_caches),
        queue_waits=QueueWaits(database),
        queue_gauges=QueueGauges(database),
        outbound=outbound,
        mcp_health=mcp_health,
    )


def _wrap(app: FastAPI, settings: Settings) -> None:
    """Add the middleware, innermost first."""
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=REQUEST_HEADERS,
            expose_headers=RESPONSE_HEADERS,
        )
    is_https = (settings.public_url or "").startswith("https:")
    app.add_middleware(RequestMiddleware, host_policy=HostPolicy.of(settings), is_https=is_https)
    if settings.trusted_proxies:
        trusted = list(settings.trusted_proxies)
        app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=trusted)
