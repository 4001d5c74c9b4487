"""The worker of `perdure queue work` while the gateway does not answer, or can't store a report."""

import json
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cli import queue_worker
from cli.connection.client import Client
from cli.connection.endpoint import Endpoint
from cli.queue_worker import MOST_OUTPUT_BYTES, LeaseEnded
from tests.api.test_artifact_stores import gateway
from tests.api.test_queue import enqueue, events, read
from tests.cli.test_queue import working
from tests.disks import SmallDisk
from tests.waiting import eventually

CLOSED = Endpoint("http://127.0.0.1:9", "a-token")
CLAIMED = {"id": "an-id", "lease_token": "a-token"}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_lease_that_ran_out_ends_the_command_and_what_it_has_started(tmp_path: Path) -> None:
    """The command has ended, but what it has started still holds its output."""
    pid_file = tmp_path / "pid"
    command = ["sh", "-c", f"sleep 60 & echo $! > {pid_file}"]
    with Client(CLOSED) as client, pytest.raises(LeaseEnded, match="ran out"):
        queue_worker.run_command(client, CLAIMED, 0.6, command)
    pid = int(pid_file.read_text())
    ends_at = time.monotonic() + 5
    while is_running(pid):
        assert time.monotonic() < ends_at
        time.sleep(0.01)


@pytest.mark.parametrize("output", ['\n"' * MOST_OUTPUT_BYTES, "\u8a9e" * MOST_OUTPUT_BYTES])
def test_a_long_output_fits_into_a_request(output: str) -> None:
    body = queue_worker.describe(f"begin {output} end")
    sent = json.dumps(body, ensure_ascii=False).encode()
    assert 0.9 * MOST_OUTPUT_BYTES < len(sent) < 1.1 * MOST_OUTPUT_BYTES
    assert body["detailed_work"].startswith("begin ")
    assert body["detailed_work"].endswith("\n(The output was longer.)")


async def test_a_report_that_can_not_be_stored_is_repeated_under_its_lease(
    database_url: str, temporal_address: str, tmp_path: Path, small_disk: SmallDisk
) -> None:
    url = f"file://{small_disk.path}/artifacts"
    one = gateway(database_url, temporal_address, tmp_path / "home", url)
    async with one as world, world.client("alice") as client:
        work = await enqueue(client)
        small_disk.fill()

        async def is_extended() -> bool:
            row = await read(client, work)
            if row["claimed_at"] is None:
                return False
            claimed_at, expires_at = (
                datetime.fromisoformat(row[name]) for name in ("claimed_at", "lease_expires_at")
            )
            return expires_at - claimed_at > timedelta(seconds=62)

        async with working(world, "print('paid for')", "--once") as worker:
            await eventually(is_extended, what="a heartbeat")
            small_disk.free()
            await worker.communicate()
        done = await read(client, work)
        assert (done["status"], done["summary"]) == ("completed", "paid for")
        assert "lease_expired" not in [reason for _, reason in await events(client, work)]
