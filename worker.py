"""Composition root of the worker process: builds its parts and runs them until SIGTERM."""

import gc

if __name__ == "__main__":
    gc.disable()  # until `freeze_loaded`

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.background_tasks import run_alongside
from activities.call_claude import ExecutionRunner, InterruptWatchers
from activities.execution import Activities
from activities.live_updates import LiveWatchers
from activities.message_links import MessageLinks
from activities.notifications import DeliveryActivities
from activities.periodic_tasks import periodic_tasks
from activities.prices import ListPrices
from activities.sending import Sender
from agent.ports import Model
from claude.adapter import ClaudeModel
from composition import compose_services
from contracts import names, policies
from persistence.db.database import Database
from persistence.db.live_updates import WAKE_CHANNEL, WATCH_CHANNEL, Listener
from persistence.db.migrate import (
    DatabaseUnavailableError,
    PreReleaseDatabaseError,
    require_database,
)
from runtime.egress.client import EgressProxy
from runtime.host import host_id, process_host
from runtime.mail import Mailer
from runtime.memory import collect_less_often, freeze_loaded
from runtime.network import NetworkGuard
from runtime.outbound import Outbound
from runtime.own_endpoints import own_endpoints
from runtime.readiness import announce
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.telemetry import set_up_logging
from runtime.temporal import TemporalUnavailableError, connect, register_search_attributes
from runtime.web import WebConnections
from services.definitions.mcp_connections import resolve_server
from services.definitions.secrets import open_secret
from services.hosts import WorkerHosts
from services.memory.task_memory import TaskMemory
from services.task_artifacts import TaskArtifacts
from services.unit_of_work import Services
from tools.limits import ToolLimits
from tools.mcp.attempts import McpTools
from tools.mcp.settings import McpSettings
from tools.sandbox import exposure_problem
from tools.stores import ToolStores
from tools.toolbox import Toolbox
from tools.web.access import WebAccess
from workflows.execution import TaskExecution
from workflows.notification import NotificationDelivery
from workflows.plan import Plan

SCRIPTED_OPTION = "--scripted-model"
"""Marks executions as scripted. Only `perdure up --scripted-model` passes it, with the address of
the scripted model."""

WORKFLOW_RUNNER = UnsandboxedWorkflowRunner()
"""Outside of the SDK's sandbox, which takes 5 ms of CPU for each workflow (docs/adr/0026). Tests
check the code of workflows, and replay all behaviours in the sandbox."""

STORE_PATIENCE_SECONDS = 45.0
"""How long a file waits for a store of artifacts that is full or unavailable (chosen: a file server
that restarts is back by then). The outcome of its call is recorded after that, without the file. A
worker that shuts down waits only until its drain time is over."""

CLOSE_TIMEOUT = timedelta(seconds=5)
"""After draining: the time to record an interrupted step before Temporal cancels it (chosen)."""

STOP_SECONDS = 8.0
"""After draining: the time until the process ends in any case (chosen: less than the supervisor
waits). Temporal's library waits for its open polls, which do not end while no server answers."""

DEPLOYMENT = WorkerDeploymentConfig(
    WorkerDeploymentVersion("perdure", version("perdure")), use_worker_versioning=False
)
"""What Temporal's UI shows as the version of a worker. Without it the SDK calculates a hash of all
loaded modules, which takes a worker 0.4 s when it starts (measured 2026-11-29)."""

_make_worker = partial(
    Worker,
    workflow_runner=WORKFLOW_RUNNER,
    deployment_config=DEPLOYMENT,
    max_heartbeat_throttle_interval=policies.HEARTBEAT_EVERY,
    default_heartbeat_throttle_interval=policies.HEARTBEAT_EVERY,
)
"""A worker with the options that those of all task queues have in common."""

log = structlog.get_logger(__name__)


def executions_worker(client: Client, activities: Activities, settings: Settings) -> Worker:
    """Run the workflows of executions and their activities."""
    return _make_worker(
        client,
        task_queue=names.EXECUTIONS_QUEUE,
        workflows=[TaskExecution, Plan],
        activities=[
            activities.create_execution,
            activities.create_session,
            activities.render_prompt,
            activities.check_worker,
            activities.call_claude,
            activities.report,  # for workflows that a worker without the queue of reports started
            activities.finish,
            activities.advance_plan,
        ],
        max_concurrent_activities=settings.max_concurrent_executions,
        max_cached_workflows=policies.CACHED_WORKFLOWS,
        max_concurrent_workflow_tasks=policies.WORKFLOW_TASKS_AT_ONCE,
        sticky_queue_schedule_to_start_timeout=policies.STICKY,
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_seconds) + CLOSE_TIMEOUT,
    )


def host_worker(client: Client, activities: Activities, settings: Settings, host: UUID) -> Worker:
    """Run the segments of executions whose files are on this host, if there are several hosts."""
    return _make_worker(
        client,
        task_queue=names.host_queue(host),
        activities=[activities.call_claude],
        max_concurrent_activities=settings.max_concurrent_executions,
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_seconds) + CLOSE_TIMEOUT,
    )


def deliveries_worker(client: Client, activities: DeliveryActivities) -> Worker:
    """Deliver notifications in separate slots, so that a slow receiver delays no execution."""
    return _make_worker(
        client,
        task_queue=names.NOTIFICATIONS_QUEUE,
        workflows=[NotificationDelivery],
        activities=[activities.deliver_notification],
        max_concurrent_activities=policies.DELIVERIES_AT_ONCE,
        max_cached_workflows=policies.DELIVERIES_AT_ONCE,
        sticky_queue_schedule_to_start_timeout=policies.STICKY,
        graceful_shutdown_timeout=CLOSE_TIMEOUT,
    )


def reports_worker(client: Client, activities: Activities) -> Worker:
    """Create reports in separate slots: executions may hold all of theirs for a long time."""
    return _make_worker(
        client,
        task_queue=names.REPORTS_QUEUE,
        activities=[activities.report],
        max_concurrent_activities=policies.REPORTS_AT_ONCE,
        graceful_shutdown_timeout=CLOSE_TIMEOUT,
    )


def delivery_activities(
    settings: Settings, services: Services, outbound: Outbound
) -> DeliveryActivities:
    """Build what delivers notifications, as far as the settings allow."""
    smtp_url = settings.smtp_url
    sender = Sender(
        database=services.database,
        outbound=outbound,
        secret_box=services.secrets,
        mailer=Mailer.from_url(
            smtp_url.get_secret_value() if smtp_url else None, settings.smtp_from
        ),
        links=MessageLinks(
            database=services.database,
            sealer=services.links,
            public_url=settings.public_url,
            has_buttons=settings.slack_signing_secret is not None,
        ),
    )
    return DeliveryActivities(sender)


def web_access(settings: Settings, services: Services) -> WebAccess:
    """Build what connects the tools of this worker with the web."""
    guard = NetworkGuard(services.settings.network, own_endpoints(settings))
    return WebAccess(WebConnections(guard).connect, partial(open_secret, services))


def toolbox_of(settings: Settings, services: Services, network: EgressProxy) -> Toolbox:
    """Build the tools of this worker."""
    return Toolbox(
        settings.home / "workspaces",
        host_id=process_host(host_id(settings.home)),
        sandbox=settings.sandbox,
        limits=ToolLimits(
            workspace_bytes=settings.workspace_bytes,
            reserved_disk_bytes=settings.reserved_disk_bytes,
            command_memory_bytes=settings.command_memory_bytes,
        ),
        working_directories=settings.working_directories,
        stores=ToolStores(
            room=services.storage.room,
            memory=TaskMemory(services),
            artifacts=TaskArtifacts(services),
            snapshots=services.blobs,
        ),
        web=web_access(settings, services),
        network=network,
    )


def mcp_tools_of(
    settings: Settings, services: Services, outbound: Outbound, toolbox: Toolbox
) -> McpTools:
    """Build what connects this worker with MCP servers."""
    used = McpSettings(
        toolbox=toolbox,
        resolve=partial(resolve_server, services),
        open_client=outbound.open_client,
        send=outbound.send,
        programs=settings.mcp_programs,
    )
    return McpTools(used)


def execution_runner(
    settings: Settings,
    services: Services,
    model: Model,
    toolbox: Toolbox,
    mcp_tools: McpTools,
    *,
    is_scripted: bool,
) -> ExecutionRunner:
    """Build what all `call_claude` activities of this worker share."""
    return ExecutionRunner(
        database=services.database,
        hosts=WorkerHosts(services.database, host_id(settings.home)),
        slots=asyncio.Semaphore(settings.max_concurrent_executions),
        model=model,
        tools=toolbox,
        mcp_tools=mcp_tools,
        schemas=services.schemas,
        store=services.blobs,
        prices=ListPrices(),
        live_watchers=LiveWatchers(services.database),
        interrupt_watchers=InterruptWatchers(settings.max_concurrent_executions),
        drain_seconds=settings.drain_seconds,
        snapshot_bytes=settings.snapshot_bytes,
        is_scripted=is_scripted,
    )


def background_tasks(
    settings: Settings, runner: ExecutionRunner, services: Services, model: ClaudeModel
) -> AbstractAsyncContextManager[None]:
    """Run the listener for Postgres notifications and the periodic tasks."""
    tasks = periodic_tasks(services, model.list_models, runner)
    listener = Listener(
        str(settings.database_url),
        {
            WAKE_CHANNEL: runner.interrupt_watchers.wake,
            WATCH_CHANNEL: runner.live_watchers.watch,
            **{task.wake_channel: task.wake for task in tasks if task.wake_channel},
        },
        on_gap=runner.interrupt_watchers.wake_all,
    )
    return run_alongside(listener.run(), *(task.run() for task in tasks))


@asynccontextmanager
async def working(
    settings: Settings, *, client: Client, model: ClaudeModel, is_scripted: bool = False
) -> AsyncIterator[None]:
    """Run the task queues and the background tasks while the block runs, then drain.

    `is_scripted`: executions are marked, because the scripted model answers.
    """
    async with AsyncExitStack() as stack:
        database = Database.connect(
            str(settings.database_url), pool_size=settings.database_pool_size
        )
        stack.push_async_callback(database.close)
        await require_database(database.engine)
        outbound = Outbound(settings.outbound_allow)
        stack.push_async_callback(outbound.aclose)
        schemas = IsolatedEvaluator(is_metered=False)
        stack.push_async_callback(schemas.close)
        # A worker starts only scheduled runs: it looks quotas up for each.
        services = compose_services(
            settings,
            database,
            client,
            outbound,
            schemas,
            remembered_seconds=0,
            store_patience_seconds=STORE_PATIENCE_SECONDS,
        )
        network = EgressProxy(services.settings.network, own_endpoints(settings))
        stack.push_async_callback(network.close)
        toolbox = toolbox_of(settings, services, network)
        mcp_tools = mcp_tools_of(settings, services, outbound, toolbox)
        stack.push_async_callback(mcp_tools.close)
        runner = execution_runner(
            settings, services, model, toolbox, mcp_tools, is_scripted=is_scripted
        )
        await runner.hosts.announce()
        await stack.enter_async_context(background_tasks(settings, runner, services, model))
        activities = Activities(runner, services)
        workers = [
            deliveries_worker(client, delivery_activities(settings, services, outbound)),
            reports_worker(client, activities),
            host_worker(client, activities, settings, runner.hosts.host_id),
            executions_worker(client, activities, settings),
        ]
        await stack.enter_async_context(run_workers(workers))
        yield


@asynccontextmanager
async def run_workers(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Run task queues while the block runs, then drain them all at the same time."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            await stack.enter_async_context(worker)
        yield
        await asyncio.gather(*(worker.shutdown() for worker in workers))


async def serve(settings: Settings, stopping: asyncio.Event, *, is_scripted: bool) -> None:
    """Run until `stopping` is set, then drain."""
    if settings.database_url is None:
        raise SystemExit(
            "Set PERDURE_DATABASE_URL, or run `perdure up`, which starts its own database."
        )
    programs = settings.mcp_programs
    if settings.sandbox != "none" and (problem := exposure_problem(settings.home, programs)):
        raise SystemExit(problem)
    async with AsyncExitStack() as stack:
        model = ClaudeModel.create()
        stack.push_async_callback(model.close)
        # Otherwise the first execution would wait for it. If it fails, each call reports the error.
        loading = asyncio.ensure_future(model.ready())
        stack.callback(loading.cancel)
        client = await connect(settings)
        await register_search_attributes(client)
        await stack.enter_async_context(
            working(settings, client=client, model=model, is_scripted=is_scripted)
        )
        await asyncio.wait([loading])
        freeze_loaded()
        collect_less_often()
        announce(settings.ready_file)
        await stopping.wait()
        asyncio.get_running_loop().call_later(settings.drain_seconds + STOP_SECONDS, _end_process)


def _end_process() -> None:
    """End although parts of the worker have not stopped. Other attempts repeat what they run."""
    log.error("worker.not_stopped", advice="Check that Temporal and the database are available.")
    os._exit(1)


async def main() -> None:
    """Run until SIGTERM or Ctrl-C."""
    settings = Settings()
    set_up_logging(settings.log_level, settings.log_format)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        await serve(settings, stopping, is_scripted=SCRIPTED_OPTION in sys.argv[1:])
    except (TemporalUnavailableError, DatabaseUnavailableError, PreReleaseDatabaseError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    import uvloop

    try:
        uvloop.run(main())
    finally:
        # Temporal's core aborts about 20 % of processes that exit at once (sdk-python#300).
        time.sleep(0.25)
