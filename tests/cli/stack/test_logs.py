"""Logs stay small while a part writes to them."""

from pathlib import Path

from cli.stack.logs import cut


def test_a_log_over_the_limit_is_kept_once_and_emptied_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"old" * 10)
        cut(log, limit_bytes=20)
        writer.write(b"new")
        cut(log, limit_bytes=20)
    assert log.read_bytes() == b"new"
    assert (tmp_path / "worker.log.1").read_bytes() == b"old" * 10
