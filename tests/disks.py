"""A small disk that can be full, read-only or gone: a file system in memory, without root."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack import launch
from cli.stack.process import tie_to_parent

SIZE_BYTES = 1024 * 1024


class SmallDisk:
    """A disk of 1 MiB, mounted in a namespace of its own, which other processes see in `/proc`."""

    def __init__(self, place: Path) -> None:
        """Mount it; `close` ends the process that has it."""
        shell = ["unshare", "--user", "--map-root-user", "--mount", "sh"]
        self._process = subprocess.Popen(
            tie_to_parent(shell, signal.SIGKILL, launch.SELF),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._place = place
        self._run(f"mount -t tmpfs -o size={SIZE_BYTES} tmpfs {place}")
        self.path = Path(f"/proc/{self._run('echo $$')}/root{place}")

    def _run(self, command: str) -> str:
        """Run a command in the namespace; returns what it prints."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command} && echo done || echo failed\n")
        self._process.stdin.flush()
        printed = []
        while (line := self._process.stdout.readline().strip()) not in {"done", "failed", ""}:
            printed.append(line)
        assert line == "done", f"{command}: this machine allows no user namespace with a mount"
        return "\n".join(printed)

    def fill(self) -> None:
        """Leave no space."""
        with (self.path / "filler").open("wb", buffering=0) as file:
            file.write(bytes(2 * SIZE_BYTES))  # writes what there is space for

    def free(self) -> None:
        """Make space again."""
        (self.path / "filler").unlink()

    def make_read_only(self) -> None:
        """Refuse writes."""
        self._run(f"mount -o remount,ro {self._place}")

    def unmount(self) -> None:
        """Leave the empty directory below the disk."""
        self._run(f"umount -l {self._place}")

    def close(self) -> None:
        """End the namespace, and with it the disk."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[SmallDisk]:
    assert shutil.which("unshare"), "install util-linux"
    place = tmp_path / "disk"
    place.mkdir()
    disk = SmallDisk(place)
    yield disk
    disk.close()
