"""Composition root of the worker process: puts the parts together and serves until SIGTERM."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker

from activities.audit_chainer import AuditChainer
from activities.background_tasks import run_alongside
from activities.call_claude import ExecutionRunner, InterruptWatchers
from activities.deliveries import Deliveries
from activities.execution import Activities
from activities.housekeeping import Housekeeping
from activities.live_updates import LiveWatchers
from activities.notifications import Notifying
from activities.prices import ListPrices
from activities.reconciler import Reconciler
from activities.relay import Relay
from activities.schedules import ScheduleReconciler
from activities.sending import Sender
from agent.ports import Model
from claude.adapter import ClaudeModel
from contracts import names, policies
from persistence.blobs import BlobStore
from persistence.db.database import Database
from persistence.db.live_updates import NOTIFICATIONS_CHANNEL, WAKE_CHANNEL, WATCH_CHANNEL, Listener
from runtime import secret_box
from runtime.dispatch import Dispatcher
from runtime.host import host_id, process_host
from runtime.mail import Mailer
from runtime.outbound import Outbound
from runtime.readiness import announce
from runtime.sandbox import SandboxedRunner
from runtime.schedules import Schedules
from runtime.settings import Settings
from runtime.telemetry import set_up_logging
from runtime.temporal import connect, register_search_attributes
from services.quotas import Quotas
from tools.toolbox import Toolbox
from workflows.execution import TaskExecution
from workflows.notification import NotificationDelivery

CLOSING = timedelta(seconds=5)
"""Beyond the drain: what a cut step needs to be recorded, before Temporal cancels it (chosen)."""


def executions_worker(client: Client, activities: Activities, settings: Settings) -> Worker:
    """The one worker of this process: workflows, their database steps, and `call_claude`."""
    return Worker(
        client,
        task_queue=names.EXECUTIONS_QUEUE,
        workflows=[TaskExecution],
        workflow_runner=SandboxedRunner(),
        activities=[
            activities.create_execution,
            activities.create_session,
            activities.render_prompt,
            activities.call_claude,
            activities.report,  # of workflows that a worker without the queue of reports moves
            activities.finish,
        ],
        max_concurrent_activities=settings.max_concurrent_executions,
        max_cached_workflows=policies.CACHED_WORKFLOWS,
        max_heartbeat_throttle_interval=policies.HEARTBEAT_EVERY,
        default_heartbeat_throttle_interval=policies.HEARTBEAT_EVERY,
        sticky_queue_schedule_to_start_timeout=policies.STICKY,
        graceful_shutdown_timeout=timedelta(seconds=settings.drain_seconds) + CLOSING,
    )


def deliveries_worker(client: Client, notifying: Notifying) -> Worker:
    """Delivers notifications, in slots of its own: a slow receiver holds up no execution."""
    return Worker(
        client,
        task_queue=names.NOTIFICATIONS_QUEUE,
        workflows=[NotificationDelivery],
        workflow_runner=SandboxedRunner(),
        activities=[notifying.deliver],
        max_concurrent_activities=policies.DELIVERIES_AT_ONCE,
        max_cached_workflows=policies.DELIVERIES_AT_ONCE,
        max_heartbeat_throttle_interval=policies.HEARTBEAT_EVERY,
        default_heartbeat_throttle_interval=policies.HEARTBEAT_EVERY,
        sticky_queue_schedule_to_start_timeout=policies.STICKY,
        graceful_shutdown_timeout=CLOSING,
    )


def sender(settings: Settings, database: Database, outbound: Outbound) -> Sender:
    """The ways out for notifications, as far as the settings open them."""
    smtp_url, keys = settings.smtp_url, settings.secrets_key
    return Sender(
        database=database,
        outbound=outbound,
        sealer=secret_box.SecretBox(keys.get_secret_value() if keys else None),
        mailer=Mailer.maybe(smtp_url.get_secret_value() if smtp_url else None, settings.smtp_from),
    )


def reports_worker(client: Client, activities: Activities) -> Worker:
    """Makes reports, in slots of its own: those of executions may all be taken for long."""
    return Worker(
        client,
        task_queue=names.REPORTS_QUEUE,
        activities=[activities.report],
        max_concurrent_activities=policies.REPORTS_AT_ONCE,
        graceful_shutdown_timeout=CLOSING,
    )


def caller_of(settings: Settings, database: Database, model: Model) -> ExecutionRunner:
    """What every `call_claude` of this worker shares."""
    host = host_id(settings.home)
    tools = Toolbox(
        settings.home / "workspaces",
        host_id=process_host(host),
        sandbox=settings.sandbox,
        working_directories=settings.working_directories,
    )
    return ExecutionRunner(
        database=database,
        host_id=host,
        model=model,
        tools=tools,
        store=BlobStore(settings.home / "artifacts"),
        prices=ListPrices(),
        watchers=LiveWatchers(database),
        interrupt_watchers=InterruptWatchers(settings.max_concurrent_executions),
        drain_seconds=settings.drain_seconds,
    )


@asynccontextmanager
async def delivering(settings: Settings, database: Database, client: Client) -> AsyncIterator[None]:
    """Take notifications where they go while the block runs."""
    outbound = Outbound(settings.outbound_allow)
    try:
        notifying = Notifying(sender(settings, database, outbound), public_url=settings.public_url)
        async with deliveries_worker(client, notifying):
            yield
    finally:
        await outbound.aclose()


@asynccontextmanager
async def working(settings: Settings, *, client: Client, model: Model) -> AsyncIterator[None]:
    """Serve the task queues, relay and listen while the block runs, then drain."""
    async with AsyncExitStack() as stack:
        database = Database.connect(
            str(settings.database_url), pool_size=settings.database_pool_size
        )
        stack.push_async_callback(database.close)
        caller = caller_of(settings, database, model)
        await stack.enter_async_context(companions(settings, caller, client))
        await stack.enter_async_context(delivering(settings, database, client))
        quotas = Quotas(
            settings.max_concurrent_executions_per_user, settings.max_usd_per_user_per_day
        )
        activities = Activities(caller, default_model=settings.model, quotas=quotas)
        await stack.enter_async_context(reports_worker(client, activities))
        await stack.enter_async_context(executions_worker(client, activities, settings))
        yield


def companions(
    settings: Settings, caller: ExecutionRunner, client: Client
) -> AbstractAsyncContextManager[None]:
    """What runs beside the queues: the ear, the relay, and whatever mends and tidies up."""
    database, dispatcher = caller.database, Dispatcher(client)
    deliveries = Deliveries(database, dispatcher)
    listener = Listener(
        str(settings.database_url),
        {
            WAKE_CHANNEL: caller.interrupt_watchers.wake,
            WATCH_CHANNEL: caller.watchers.watch,
            NOTIFICATIONS_CHANNEL: deliveries.wake,
        },
        on_gap=caller.interrupt_watchers.wake_all,
    )
    return run_alongside(
        listener.run(),
        Relay(database, dispatcher).run(),
        Reconciler(database, dispatcher).run(),
        ScheduleReconciler(database, Schedules(client)).run(),
        deliveries.run(),
        AuditChainer(database).run(),
        Housekeeping(database).run(),
    )


async def serve(settings: Settings, stopping: asyncio.Event) -> None:
    """Work until `stopping` is set, then drain."""
    if settings.database_url is None:
        raise SystemExit("Set PERDURE_DATABASE_URL, or run `perdure up`, which brings its own.")
    async with AsyncExitStack() as stack:
        model = ClaudeModel.create()
        stack.push_async_callback(model.close)
        client = await connect(settings)
        await register_search_attributes(client)
        await stack.enter_async_context(working(settings, client=client, model=model))
        announce(settings.ready_file)
        await stopping.wait()


async def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    settings = Settings()
    set_up_logging(settings.log_level, settings.log_format)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await serve(settings, stopping)


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
    # Temporal's core aborts about one in five processes that end at once (sdk-python#300).
    time.sleep(0.25)
    sys.exit(0)
