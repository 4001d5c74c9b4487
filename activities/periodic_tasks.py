"""The periodic background tasks of a worker: how often each service function is called."""

from collections.abc import Sequence
from functools import partial

from activities.background_tasks import PeriodicTask
from activities.call_claude import ExecutionRunner
from persistence.db.live_updates import NOTIFICATIONS_CHANNEL, RELAY_CHANNEL
from runtime.memory import release_memory
from services import hosts, maintenance, notifications, storage, stored_files
from services.artifact_retention import RetentionSweep
from services.executions import due_requests, holding, relaying, reminding
from services.executions.reconciling import ExecutionReconciler
from services.external_work import expiry, priorities
from services.memory import entries as memory
from services.model_catalog import READ_EVERY_SECONDS, ListModels
from services.scheduling import synchronisation
from services.unit_of_work import Services


def periodic_tasks(
    services: Services, list_models: ListModels, runner: ExecutionRunner
) -> Sequence[PeriodicTask]:
    """Return the tasks of one worker. Any number of workers may run them at the same time.

    All periods are chosen. Unless a comment says more, a sweep without work reads an empty index.
    """
    database, workflows, schedules = services.database, services.workflows, services.schedules
    reconciler = ExecutionReconciler(database, workflows)
    relay = partial(relaying.relay_due, database, workflows)
    start_deliveries = partial(notifications.start_due_deliveries, database, workflows)
    apply_schedules = partial(synchronisation.apply_pending, database, schedules)
    compare_schedules = partial(synchronisation.repair_differences, database, schedules)
    chain = partial(maintenance.chain_audit_entries, database)
    return [
        PeriodicTask("host", hosts.ANNOUNCE_SECONDS, runner.hosts.announce),
        PeriodicTask("relay", 1, relay, batch=relaying.BATCH, wake_channel=RELAY_CHANNEL),
        # With its batch of 100, it compares 600 active executions every minute.
        PeriodicTask("execution_reconciler", 10, reconciler.sweep),
        *_input_request_tasks(services),
        *_queue_tasks(services),
        PeriodicTask("schedule_sync", 5, apply_schedules),
        # A change made in Temporal lasts less than a minute. 1,000 schedules take 0.2 s.
        PeriodicTask("schedule_reconciler", 30, compare_schedules),
        # Notifications wake it. The period matters if one is lost with its connection.
        PeriodicTask(
            "deliveries",
            5,
            start_deliveries,
            batch=notifications.BATCH,
            wake_channel=NOTIFICATIONS_CHANNEL,
        ),
        # An audit entry is chained about this long after its commit.
        PeriodicTask("audit_chainer", 5, chain, batch=maintenance.BATCH),
        PeriodicTask("models", READ_EVERY_SECONDS, partial(services.models.ask, list_models)),
        *_clean_up_tasks(services, runner),
    ]


def _clean_up_tasks(services: Services, runner: ExecutionRunner) -> Sequence[PeriodicTask]:
    """Return the tasks for whose results no request waits."""
    database = services.database
    delete_keys = partial(maintenance.delete_expired_keys, database)
    delete_signals = partial(maintenance.delete_consumed_signals, database)
    delete_memory = partial(memory.delete_expired, database)
    garbage = stored_files.GarbageCollector(database, services.blobs.store)
    expired = RetentionSweep(database, services.storage)
    total_days = partial(maintenance.sum_finished_days, database)
    return [
        PeriodicTask("expired_keys", 60, delete_keys, batch=maintenance.BATCH),
        PeriodicTask("consumed_signals", 60, delete_signals, batch=maintenance.BATCH),
        *_workspace_tasks(services, runner),
        # With 1,000,000 files, each is examined every three hours.
        PeriodicTask("unreferenced_files", 60, garbage.sweep),
        # Like files, artifacts are deleted at most some hours after their time.
        PeriodicTask("expired_artifacts", 60, expired.sweep),
        PeriodicTask("usage_totals", 60, total_days),
        PeriodicTask("expired_memory", 60, delete_memory, batch=memory.BATCH),
        # It takes about 10 ms of a worker at rest.
        PeriodicTask("unused_memory", 10, release_memory),
    ]


def _input_request_tasks(services: Services) -> Sequence[PeriodicTask]:
    """What happens to input requests at the times that they store, at most one period later."""
    recall = partial(reminding.act_on_due, services.database, services.workflows)
    return [
        PeriodicTask("reminders", 1, recall, batch=due_requests.BATCH),
        PeriodicTask(
            "held_answers", 0.5, partial(holding.apply_held, services), due_requests.BATCH
        ),
    ]


def _queue_tasks(services: Services) -> Sequence[PeriodicTask]:
    """Return the tasks that keep the queue of external work current."""
    end_leases = partial(expiry.end_expired, services.database, services.workflows)
    order = partial(priorities.recalculate_changed, services.database)
    return [
        # Work whose lease ran out returns to the queue at most this long after it.
        PeriodicTask("expired_leases", 1, end_leases, batch=expiry.BATCH),
        # A priority is at most this old. Without changes it reads two empty indexes.
        PeriodicTask("priorities", 1, order, batch=priorities.BATCH),
    ]


def _workspace_tasks(services: Services, runner: ExecutionRunner) -> Sequence[PeriodicTask]:
    """Return the tasks that free space of workspaces. No request waits for their results."""
    database, tools = services.database, runner.tools
    delete = partial(storage.delete_workspaces, database, runner.hosts.host_id, tools.remove)
    delete_obsolete = partial(
        storage.delete_obsolete_workspaces, database, tools.list_sessions, tools.remove
    )
    prune = partial(storage.delete_earlier_snapshots, database, runner.snapshot_bytes)
    return [
        PeriodicTask("deleted_workspaces", 30, delete, batch=storage.BATCH),
        PeriodicTask("earlier_snapshots", 30, prune),
        # It lists the directories of workspaces on this host.
        PeriodicTask("obsolete_workspaces", 60, delete_obsolete),
        PeriodicTask("abandoned_restores", 3600, tools.delete_abandoned_restores),
    ]
