"""The periodic background tasks of a worker: how often each service function is called."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from activities.background_tasks import PeriodicTask
from persistence.db.database import Database
from services import maintenance, notifications
from services.executions import relaying
from services.executions.reconciling import ExecutionReconciler
from services.ports import DeliveryServer, ScheduleServer, WorkflowServer
from services.scheduling import synchronisation

RELAY = timedelta(seconds=1)
"""A sweep that finds nothing reads an empty index (chosen)."""

RECONCILE = timedelta(seconds=10)
"""With a batch of 100, 600 active executions are compared every minute (chosen)."""

APPLY_SCHEDULES = timedelta(seconds=5)
"""A sweep that finds nothing reads an empty index (chosen)."""

COMPARE_SCHEDULES = timedelta(seconds=30)
"""A change made in Temporal lasts less than a minute; 1,000 schedules take 0.2 s (chosen)."""

START_DELIVERIES = timedelta(seconds=5)
"""If no notification wakes the task: Postgres drops them with a lost connection (chosen)."""

CHAIN_AUDIT_LOG = timedelta(seconds=5)
"""An audit entry is chained about this long after its commit (chosen)."""

MAINTAIN = timedelta(seconds=60)
"""No request waits for the result (chosen)."""


def start_deliveries(database: Database, server: DeliveryServer) -> PeriodicTask:
    """Return the task that starts due deliveries; a notification on their channel wakes it."""
    sweep = partial(notifications.start_due_deliveries, database, server)
    return PeriodicTask("deliveries", START_DELIVERIES, sweep, notifications.BATCH)


def periodic_tasks(
    database: Database, workflows: WorkflowServer, schedules: ScheduleServer
) -> Sequence[PeriodicTask]:
    """Return all other tasks. Any number of workers may run them at the same time."""
    reconciler = ExecutionReconciler(database, workflows)
    relay = partial(relaying.relay_due, database, workflows)
    apply_schedules = partial(synchronisation.apply_pending, database, schedules)
    compare_schedules = partial(synchronisation.repair_differences, database, schedules)
    chain = partial(maintenance.chain_audit_entries, database)
    delete_keys = partial(maintenance.delete_expired_keys, database)
    delete_signals = partial(maintenance.delete_consumed_signals, database)
    total_days = partial(maintenance.total_finished_days, database)
    return [
        PeriodicTask("relay", RELAY, relay, relaying.BATCH),
        PeriodicTask("execution_reconciler", RECONCILE, reconciler.sweep),
        PeriodicTask("schedule_sync", APPLY_SCHEDULES, apply_schedules),
        PeriodicTask("schedule_reconciler", COMPARE_SCHEDULES, compare_schedules),
        PeriodicTask("audit_chainer", CHAIN_AUDIT_LOG, chain, maintenance.BATCH),
        PeriodicTask("expired_keys", MAINTAIN, delete_keys, maintenance.BATCH),
        PeriodicTask("consumed_signals", MAINTAIN, delete_signals, maintenance.BATCH),
        PeriodicTask("usage_totals", MAINTAIN, total_days),
    ]
