"""20 workers: claims, reports, releases, leases that run out and killed workers, in any order.

No two workers have the same work, the first in the order gets claimed, only the lease that counts
may report, an execution that has ended stays as it is, and what waits for it follows.
"""

import asyncio
from collections.abc import Awaitable, Sequence
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
from domain.executions.external_work import MOST_LOST_ATTEMPTS, NextAction
from domain.executions.states import ExecutionStatus
from persistence.db.database import Database
from persistence.db.outages import is_outage
from persistence.executions import leases, queries
from persistence.executions.leases import Lease
from persistence.identity import users
from persistence.ledger.audit import Actor
from runtime.outbound import Outbound
from runtime.schema_evaluation import IsolatedEvaluator
from runtime.settings import Settings
from runtime.temporal import connect
from services.caller import Caller
from services.executions import starting
from services.executions.inputs import WorkBody
from services.external_work import claims, expiry, reports
from services.external_work.inputs import CompleteBody, FailBody, HeartbeatBody, ReleaseBody
from services.field_types import Body
from services.unit_of_work import UnitOfWork

T = TypeVar("T")
WORKERS = tuple(f"worker {number}" for number in range(20))
NEEDS: Sequence[Sequence[int]] = ((), (), (), (0,), (1, 3), ())
"""For each execution, the ones that it waits for."""
WHICH = st.integers(0, len(NEEDS) - 1)
ENDED = {ExecutionStatus.COMPLETED, ExecutionStatus.FAILED, ExecutionStatus.CANCELLED}


class LeaseStates(RuleBasedStateMachine):
    """External executions in a real database, some of which wait for others, and 20 workers."""

    database_url: ClassVar[str]
    temporal_address: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.database = Database.connect(self.database_url, pool_size=len(WORKERS))
        self.directory = TemporaryDirectory()
        self.held: dict[UUID, UUID] = {}
        """The lease of each execution that counts."""
        self.old: list[tuple[UUID, UUID]] = []
        """Leases that have ended."""
        self.lost: dict[UUID, int] = {}
        self.status: dict[UUID, ExecutionStatus] = {}
        self.ids: list[UUID] = []
        self.waiting: dict[UUID, set[UUID]] = {}
        """What an execution still waits for."""

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
        for number, needs in enumerate(NEEDS):
            body = WorkBody(
                prompt="x",
                executor="external",
                priority=2 * number,
                prerequisites=[self.ids[other] for other in needs],
            )
            async with self.database.transaction() as session:
                work = UnitOfWork(session, self.caller, self.services)
                row = await starting.start_inline_work(work, body)
            self.ids.append(row.id)
            self.status[row.id] = ExecutionStatus(row.status)
            self.lost[row.id] = 0
            if needs:
                self.waiting[row.id] = {self.ids[other] for other in needs}

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

    @rule(workers=st.sets(st.sampled_from(WORKERS), min_size=1), killed=st.integers(0, 3))
    def claim(self, workers: set[str], killed: int) -> None:
        """Workers claim at the same time. Postgres loses the connections of some in between."""
        names = sorted(workers)

        async def claimed(name: str, *, is_killed: bool) -> tuple[str, UUID] | None:
            lease = Lease(claimed_by=name, seconds=600)
            async with self.database.transaction() as session:
                found = await leases.claim_next(session, self.caller.user_id, lease)
                if is_killed:
                    pid = await session.scalar(text("SELECT pg_backend_pid()"))
                    async with self.database.transaction() as other:
                        await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            return None if found is None else (name, found.row.id)

        async def claim_all() -> list[tuple[str, UUID]]:
            results = await asyncio.gather(
                *(claimed(name, is_killed=n < killed) for n, name in enumerate(names)),
                return_exceptions=True,
            )
            lost = [one for one in results if isinstance(one, BaseException)]
            assert all(is_outage(one) for one in lost), lost
            assert len(lost) == min(killed, len(names))
            return [one for one in results if isinstance(one, tuple)]

        pending = [i for i, status in self.status.items() if status is ExecutionStatus.PENDING]
        found = self.do(claim_all())
        assert len({execution_id for _, execution_id in found}) == len(found)
        assert {execution_id for _, execution_id in found} <= set(pending)
        if not killed:
            # The first in the order; a killed claim held its row while others looked for one.
            first = sorted(pending, key=lambda one: -self.ids.index(one))[: len(names)]
            assert len(found) == len(first)
            if len(names) == 1:
                assert [execution_id for _, execution_id in found] == first

        async def read() -> None:
            async with self.database.reading() as session:
                for name, execution_id in found:
                    row = await queries.lock_existing(session, execution_id)
                    assert row.lease_token is not None
                    assert row.claimed_by == name
                    self.held[execution_id] = row.lease_token
                    self.status[execution_id] = ExecutionStatus.RUNNING

        self.do(read())

    def end_lease(self, execution_id: UUID, status: ExecutionStatus) -> None:
        self.old.append((execution_id, self.held.pop(execution_id)))
        self._change(execution_id, status)

    def _change(self, execution_id: UUID, status: ExecutionStatus) -> None:
        self.status[execution_id] = status
        for other, needed in list(self.waiting.items()):
            if execution_id not in needed:
                continue
            if status is ExecutionStatus.COMPLETED:
                needed.discard(execution_id)
                if not needed:
                    del self.waiting[other]
                    self._change(other, ExecutionStatus.PENDING)
            elif status in ENDED:
                del self.waiting[other]
                self._change(other, ExecutionStatus.FAILED)

    @rule(which=WHICH, action=st.sampled_from(NextAction))
    def report(self, which: int, action: NextAction) -> None:
        execution_id = self.ids[which]
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

    @rule(which=WHICH, retryable=st.booleans())
    def fail(self, which: int, *, retryable: bool) -> None:
        execution_id = self.ids[which]
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

    @rule(which=WHICH)
    def release(self, which: int) -> None:
        execution_id = self.ids[which]
        if token := self.held.get(execution_id):
            self.do(self._work("release", execution_id, lease_token=token))
            self.end_lease(execution_id, ExecutionStatus.PENDING)

    @rule(which=WHICH)
    def run_out(self, which: int) -> None:
        """A worker was killed, and the sweep returns its work."""
        execution_id = self.ids[which]
        if execution_id not in self.held:
            return

        async def sweep() -> None:
            past = "UPDATE executions SET lease_expires_at = clock_timestamp() WHERE id = :id"
            async with self.database.transaction() as session:
                await session.execute(text(past), {"id": execution_id})
            await expiry.end_expired(self.database, self.services.workflows)

        self.do(sweep())
        self.lost[execution_id] += 1
        is_over = self.lost[execution_id] >= MOST_LOST_ATTEMPTS
        status = ExecutionStatus.FAILED if is_over else ExecutionStatus.PENDING
        self.end_lease(execution_id, status)

    @rule(which=WHICH)
    def resume(self, which: int) -> None:
        execution_id = self.ids[which]

        async def resumed() -> bool:
            async with self.database.transaction() as session:
                row = await queries.lock_existing(session, execution_id)
                return await leases.unblock(session, row)

        is_blocked = (
            self.status[execution_id] is ExecutionStatus.BLOCKED
            and execution_id not in self.waiting
        )
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


EXAMPLES = settings(max_examples=3, stateful_step_count=20, deadline=None)
MANY_EXAMPLES = settings(max_examples=200, stateful_step_count=40, deadline=None)


def test_leases_in_any_order(database_url: str, temporal_address: str) -> None:
    run_state_machine_as_test(on_servers(database_url, temporal_address), settings=EXAMPLES)


@pytest.mark.long
@pytest.mark.timeout(3000)
def test_leases_in_many_orders(database_url: str, temporal_address: str) -> None:
    run_state_machine_as_test(on_servers(database_url, temporal_address), settings=MANY_EXAMPLES)
