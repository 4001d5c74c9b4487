"""Claims, heartbeats, reports, releases, cancels and leases that run out, in any order.

No two workers have the same work, only the lease that counts may report, and an execution that
has ended stays as it is.
"""

import asyncio
from collections.abc import Awaitable
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar
from uuid import UUID, uuid4

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from composition import compose_services
from domain.errors import LeaseLostError
from domain.external_work import MOST_LOST_ATTEMPTS, NextAction
from domain.states import ExecutionStatus
from persistence.db.database import Database
from persistence.executions import leases, queries
from persistence.executions.leases import Lease
from persistence.identity import users
from persistence.ledger.audit import Actor
from runtime.outbound import Outbound
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.temporal import connect
from services.caller import Caller
from services.external_work import claims, expiry, reports
from services.external_work.inputs import CompleteBody, FailBody, HeartbeatBody, ReleaseBody
from services.field_types import Body
from services.unit_of_work import UnitOfWork
from tests.engine.storing import store

T = TypeVar("T")
WORKERS = ("ada", "bob", "eve")
ENDED = {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}


class LeaseStates(RuleBasedStateMachine):
    """Two external executions in a real database, and three workers."""

    database_url: ClassVar[str]
    temporal_address: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.database = Database.connect(self.database_url, pool_size=2)
        self.directory = TemporaryDirectory()
        self.held: dict[UUID, UUID] = {}
        """The lease of each execution that counts."""
        self.old: list[tuple[UUID, UUID]] = []
        """Leases that have ended."""
        self.lost: dict[UUID, int] = {}
        self.status: dict[UUID, ExecutionStatus] = {}

    def do(self, awaitable: Awaitable[T]) -> T:
        async def done() -> T:
            return await awaitable

        return self.runner.run(done())

    def teardown(self) -> None:
        self.do(self._close())
        self.runner.close()
        self.directory.cleanup()

    @initialize()
    def open(self) -> None:
        self.do(self._open())

    async def _close(self) -> None:
        await self.schemas.close()
        await self.database.close()

    async def _open(self) -> None:
        settings = Settings.model_validate(
            {
                "database_url": self.database_url,
                "temporal_address": self.temporal_address,
                "home": self.directory.name,
            }
        )
        self.schemas = IsolatedEvaluator(is_metered=False)
        client = await connect(settings)
        self.services = compose_services(
            settings, self.database, client, Outbound(()), self.schemas, remembered_seconds=0
        )
        async with self.database.transaction() as session:
            user = await users.find_or_create(session, f"user-{uuid4()}", "user")
            self.caller = Caller(user_id=user.id, subject="user", actor=Actor(user.id))
        for _ in range(2):
            row = await store(self.database, self.caller.user_id, [{"text": "x"}])
            async with self.database.transaction() as session:
                external = "UPDATE executions SET executor = 'external' WHERE id = :id"
                await session.execute(text(external), {"id": row.id})
            self.status[row.id] = ExecutionStatus.PENDING
            self.lost[row.id] = 0

    async def _work(self, change: str, execution_id: UUID, **fields: object) -> None:
        """Call a service in a transaction of its own."""
        bodies: dict[str, type[Body]] = {
            "send_heartbeat": HeartbeatBody,
            "release": ReleaseBody,
            "complete": CompleteBody,
            "fail": FailBody,
        }
        body: Any = bodies[change].model_validate(fields)
        async with self.database.transaction() as session:
            work = UnitOfWork(session, self.caller, self.services)
            if change == "complete":
                done = await reports.complete(work, execution_id, body)
                if done.refusal is not None:
                    raise done.refusal
            else:
                module = reports if change == "fail" else claims
                await getattr(module, change)(work, execution_id, body)

    @rule(worker=st.sampled_from(WORKERS))
    def claim(self, worker: str) -> None:
        async def claimed() -> UUID | None:
            lease = Lease(claimed_by=worker, seconds=600)
            async with self.database.transaction() as session:
                found = await leases.claim_next(session, self.caller.user_id, None, lease)
            if found is not None:
                async with self.database.reading() as session:
                    row = await queries.lock_existing(session, found)
                    assert row.lease_token is not None
                    assert row.claimed_by == worker
                    self.held[found] = row.lease_token
            return found

        found = self.do(claimed())
        pending = [i for i, status in self.status.items() if status is ExecutionStatus.PENDING]
        assert (found in pending) if pending else found is None
        if found is not None:
            self.status[found] = ExecutionStatus.RUNNING

    def end_lease(self, execution_id: UUID, status: ExecutionStatus) -> None:
        self.old.append((execution_id, self.held.pop(execution_id)))
        self.status[execution_id] = status

    @rule(which=st.integers(0, 1), action=st.sampled_from(NextAction))
    def report(self, which: int, action: NextAction) -> None:
        execution_id = sorted(self.status)[which]
        token = self.held.get(execution_id)
        if token is None:
            return
        self.do(self._work("complete", execution_id, lease_token=token, next_action=action))
        self.lost[execution_id] = 0
        after = {
            NextAction.COMPLETE: ExecutionStatus.COMPLETED,
            NextAction.NEEDS_REVISION: ExecutionStatus.PENDING,
            NextAction.BLOCKED: ExecutionStatus.BLOCKED,
        }.get(action)
        if after is not None:
            self.end_lease(execution_id, after)

    @rule(which=st.integers(0, 1), retryable=st.booleans())
    def fail(self, which: int, *, retryable: bool) -> None:
        execution_id = sorted(self.status)[which]
        token = self.held.get(execution_id)
        if token is None:
            return
        self.do(
            self._work("fail", execution_id, lease_token=token, message="m", retryable=retryable)
        )
        self.lost[execution_id] += 1
        is_over = not retryable or self.lost[execution_id] >= MOST_LOST_ATTEMPTS
        status = ExecutionStatus.FAILED if is_over else ExecutionStatus.PENDING
        self.end_lease(execution_id, status)

    @rule(which=st.integers(0, 1))
    def release(self, which: int) -> None:
        execution_id = sorted(self.status)[which]
        if token := self.held.get(execution_id):
            self.do(self._work("release", execution_id, lease_token=token))
            self.end_lease(execution_id, ExecutionStatus.PENDING)

    @rule(which=st.integers(0, 1))
    def run_out(self, which: int) -> None:
        """A worker was killed, and the sweep returns its work."""
        execution_id = sorted(self.status)[which]
        if execution_id not in self.held:
            return

        async def swept() -> None:
            past = "UPDATE executions SET lease_expires_at = clock_timestamp() WHERE id = :id"
            async with self.database.transaction() as session:
                await session.execute(text(past), {"id": execution_id})
            await expiry.end_expired(self.database, self.services.workflows)

        self.do(swept())
        self.lost[execution_id] += 1
        is_over = self.lost[execution_id] >= MOST_LOST_ATTEMPTS
        status = ExecutionStatus.FAILED if is_over else ExecutionStatus.PENDING
        self.end_lease(execution_id, status)

    @rule(which=st.integers(0, 1))
    def resume(self, which: int) -> None:
        execution_id = sorted(self.status)[which]

        async def resumed() -> bool:
            async with self.database.transaction() as session:
                row = await queries.lock_existing(session, execution_id)
                return await leases.unblock(session, row)

        is_blocked = self.status[execution_id] is ExecutionStatus.BLOCKED
        assert self.do(resumed()) == is_blocked
        if is_blocked:
            self.status[execution_id] = ExecutionStatus.PENDING

    @rule(data=st.data(), change=st.sampled_from(["send_heartbeat", "release", "complete", "fail"]))
    def use_an_old_lease(self, data: st.DataObject, change: str) -> None:
        if not self.old:
            return
        execution_id, token = data.draw(st.sampled_from(self.old))
        if change == "send_heartbeat" and self.status[execution_id] in ENDED:
            return  # it reports the end to the worker that had the last lease
        more = {"message": "late"} if change == "fail" else {}
        with pytest.raises(LeaseLostError):
            self.do(self._work(change, execution_id, lease_token=token, **more))

    @invariant()
    def states_are_as_expected(self) -> None:
        async def read() -> None:
            async with self.database.reading() as session:
                for execution_id, status in self.status.items():
                    row = await queries.lock_existing(session, execution_id)
                    assert row.status == status
                    is_held = row.lease_expires_at is not None
                    assert is_held == (execution_id in self.held)
                    if is_held:
                        assert row.lease_token == self.held[execution_id]
                    events = "SELECT count(*) FROM execution_events WHERE execution_id = :id"
                    count = await session.scalar(text(events), {"id": execution_id})
                    assert count == row.event_seq

        self.do(read())


def on_servers(url: str, temporal_address: str) -> type[LeaseStates]:
    """The machine with these servers; no workflow runs there."""
    servers = {"database_url": url, "temporal_address": temporal_address}
    return type("LeasesOnServers", (LeaseStates,), servers)


EXAMPLES = settings(max_examples=5, stateful_step_count=20, deadline=None)
MANY_EXAMPLES = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_leases_in_any_order(database_url: str, temporal_address: str) -> None:
    run_state_machine_as_test(on_servers(database_url, temporal_address), settings=EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_leases_in_many_orders(database_url: str, temporal_address: str) -> None:
    run_state_machine_as_test(on_servers(database_url, temporal_address), settings=MANY_EXAMPLES)
