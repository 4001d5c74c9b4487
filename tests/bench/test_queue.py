"""The workers of the case of the queue; long, as `test_systems.py`."""

import pytest

from bench.cases import queue
from bench.claimer import PAIR_BYTES
from bench.world import World
from persistence.db.database import Database

pytestmark = pytest.mark.long

WORK = 12


async def test_workers_complete_all_work_and_log_each_pair(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "CLAIMERS", 2)
    monkeypatch.setattr(queue, "KILLED", 1)
    monkeypatch.setattr(queue, "LEASE_SECONDS", 1.0)
    database = Database.connect(world.facts["database_url"])
    await queue.store_work(database, WORK)
    logs = await queue.run_workers(world, WORK)
    assert await queue.count_rows(database, queue.OPEN) == 0
    await database.close()
    undisturbed = logs[1]
    done = [line.split()[1] for line in undisturbed if line.startswith("done")]
    assert len(done) == len(set(done)) == len(undisturbed) / 2 > 0
    assert sum(len(line) + 1 for line in undisturbed) == len(done) * PAIR_BYTES
