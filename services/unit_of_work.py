"""The unit of work: a service call is one transaction; its effects outside run after the commit.

    async with services.transaction(caller) as work:
        execution = await starting.start_task(work, task_id, request)

A service function takes the unit of work first, reads and writes through `work.session`, and
registers what Temporal has to do. If the process dies between the commit and an effect, or Temporal
does not answer, the worker's relay and reconcilers do the same later from the committed rows.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from prometheus_client import Counter
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import ExecutionTerminalError
from domain.executions.dispatch import StartRequest
from domain.json_schemas import SchemaEvaluator
from domain.schedules.schedule import Backfill
from domain.web.network import NO_NETWORK, NetworkList
from persistence.db.database import Database
from persistence.db.live_updates import USERS_CHANNEL, notify
from persistence.db.raw_connection import Connected
from persistence.definitions.secrets import SecretSealer
from persistence.executions.creation import make_start_request
from persistence.ledger import audit
from persistence.tables.executions import ExecutionRow
from services.blobs import Blobs
from services.caller import Caller
from services.executions.dispatch_marks import DispatchMarks
from services.executions.reconciling import fail_if_terminated
from services.external_work.closings import WorkflowClosings
from services.model_catalog import ModelCatalog
from services.ports import ScheduleServer, UserCache, WorkflowServer
from services.quotas import QuotaGuard
from services.scheduling.synchronisation import send_backfill, synchronise
from services.storage import StorageGuard

CONCURRENT_EFFECTS = 16
"""Effects that run at the same time (chosen: each waits about 10 ms for Temporal)."""

EFFECTS_SECONDS = 5.0
"""No further effects start after this time; the relay does the rest (chosen)."""

TERMINATED = (
    "The workflow of this execution was terminated in Temporal, so the execution has failed. Retry "
    "the execution to run it again."
)

log = structlog.get_logger(__name__)

STARTS = Counter(
    "perdure_workflow_starts",
    "Workflows started right after the commit, or left to the relay.",
    ["outcome"],
)

Precondition = Callable[[Any], None]
"""Raises `PreconditionFailedError` if the object is not the one that the caller read."""

Effect = Callable[[], Awaitable[object]]
CheckUrl = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorSettings:
    """What the operator's settings allow in definitions."""

    default_model: str
    working_directories: Sequence[Path] = ()
    network: NetworkList = NO_NETWORK
    """What tools may connect to."""
    check_url: CheckUrl
    """Raises `AddressRefusedError` for a URL that the operator's settings do not allow."""
    memory_language: str = "english"
    """The dictionary of Postgres that memory is searched with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the services of one process share; a composition root creates it."""

    database: Database
    workflows: WorkflowServer
    schedules: ScheduleServer
    quotas: QuotaGuard
    storage: StorageGuard
    blobs: Blobs
    secrets: SecretSealer
    links: SecretSealer
    """Encrypts what links and buttons of messages contain."""
    schemas: SchemaEvaluator
    settings: OperatorSettings
    models: ModelCatalog
    closings: WorkflowClosings
    dispatch_marks: DispatchMarks
    user_caches: Sequence[UserCache] = ()
    """What this process remembers about users for some seconds."""

    @asynccontextmanager
    async def transaction(
        self,
        caller: Caller,
        *,
        dry_run: bool = False,
        effects: list["Effect"] | None = None,
        is_one_service: bool = False,
    ) -> AsyncIterator["UnitOfWork"]:
        """Commit when the block ends, then run the effects. An exception rolls back.

        A dry run is rolled back too, and its effects do not run. With `effects` they are only
        added to that list, for a caller that runs those of several transactions together.
        `is_one_service`: the block writes nothing but what one service does.
        """
        async with self.database.transaction(keep=not dry_run) as session:
            work = UnitOfWork(session, caller, self, is_one_service=is_one_service)
            yield work
        if dry_run:
            return
        if effects is None:
            await run_effects(work.effects)
        else:
            effects += work.effects


@dataclass(slots=True)
class UnitOfWork:
    """One transaction on behalf of one caller."""

    session: AsyncSession
    caller: Caller
    services: Services
    effects: list[Effect] = field(default_factory=list)
    """What is to be done outside the database after the commit, in this order."""
    is_one_service: bool = False
    """Whether a service may commit before the block ends, in a transaction of its own."""

    @property
    def connected(self) -> Connected:
        """Where a service runs its only statement: a transaction of its own if that is allowed.

        It is not allowed after a statement in the session, which may have locked what this one
        relies on.
        """
        is_alone = self.is_one_service and not self.session.in_transaction()
        return self.services.database.raw if is_alone else self.session

    def start_workflow(self, row: ExecutionRow) -> None:
        """Start the workflow of a stored execution after the commit."""
        self.effects.append(partial(_start_workflow, self.services, make_start_request(row)))

    def wake_workflow(
        self, execution_id: UUID, workflow_id: str, *, must_run: bool = False
    ) -> None:
        """Signal the workflow of an execution after the commit.

        If an operator has terminated the workflow, the execution fails now. With `must_run` the
        request then ends with `ExecutionTerminalError`, although it is committed.
        """
        self.effects.append(
            partial(_wake_workflow, self.services, workflow_id, execution_id, must_run=must_run)
        )

    def close_workflow(self, workflow_id: str) -> None:
        """Wake the workflow of external work that has ended, after the commit; no request waits."""
        self.effects.append(partial(self.services.closings.wake, workflow_id))

    def synchronise_schedule(self, task_id: UUID) -> None:
        """Create, update or delete the schedule of a changed task after the commit."""
        services = self.services
        self.effects.append(partial(synchronise, services.database, services.schedules, task_id))

    def send_backfill(self, backfill: Backfill) -> None:
        """Send a stored backfill to Temporal after the commit."""
        services = self.services
        self.effects.append(partial(send_backfill, services.database, services.schedules, backfill))

    async def check_storage(self, owner_id: UUID, *bodies: BaseModel) -> None:
        """Check that a user may store these definitions (`services.storage.StorageGuard`)."""
        size = sum(len(body.model_dump_json()) for body in bodies)
        await self.services.storage.check(self.session, owner_id, adding=size)

    async def forget_user(self, user_id: UUID) -> None:
        """After the commit, read again what processes remember about a user.

        This process does so before the request ends, others when they receive the notification.
        """
        await notify(self.session, USERS_CHANNEL, str(user_id))
        self.effects.append(partial(_forget_user, self.services, user_id))

    async def record_audit(
        self,
        action: str,
        entity: tuple[str, UUID],
        *,
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
        owner_id: UUID | None = None,
    ) -> None:
        """Append a row to the audit log (`persistence.ledger.audit.record`)."""
        await audit.record(
            self.session,
            self.caller.actor,
            action,
            entity,
            before=before,
            after=after,
            owner_id=owner_id,
        )


async def run_effects(effects: Sequence[Effect]) -> None:
    """Run effects, `CONCURRENT_EFFECTS` at a time, until `EFFECTS_SECONDS` have passed.

    An error is logged and ignored: the request is committed, and the relay repeats the effect.

    Raises:
        ExecutionTerminalError: a workflow that must run was terminated (`wake_workflow`).
    """
    refusals: list[ExecutionTerminalError] = []
    began = time.monotonic()
    for position in range(0, len(effects), CONCURRENT_EFFECTS):
        if time.monotonic() - began > EFFECTS_SECONDS:
            break
        batch = effects[position : position + CONCURRENT_EFFECTS]
        for result in await asyncio.gather(*(effect() for effect in batch), return_exceptions=True):
            if isinstance(result, ExecutionTerminalError):
                refusals.append(result)
            elif isinstance(result, Exception):
                log.warning("effect.failed", error=type(result).__name__)
    if refusals:
        raise refusals[0]


async def _start_workflow(services: Services, request: StartRequest) -> None:
    was_started = await services.workflows.start(request)
    if was_started:
        services.dispatch_marks.add_start(request.execution_id)
    STARTS.labels("started" if was_started else "left_to_relay").inc()


async def _wake_workflow(
    services: Services, workflow_id: str, execution_id: UUID, *, must_run: bool
) -> None:
    sent_at = time.monotonic()
    was_woken = await services.workflows.wake(workflow_id)
    if was_woken:
        services.dispatch_marks.add_wake(execution_id, sent_at=sent_at)
    elif was_woken is not None and await fail_if_terminated(
        services.database, services.workflows, execution_id, workflow_id
    ):
        log.warning("effect.workflow_terminated", execution_id=str(execution_id))
        if must_run:
            raise ExecutionTerminalError(TERMINATED)


async def _forget_user(services: Services, user_id: UUID) -> None:
    for cache in services.user_caches:
        cache.forget(user_id)
