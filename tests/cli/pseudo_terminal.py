"""Commands on a real pseudo-terminal."""

import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from cli.stack import launch
from cli.stack.process import tie_to_parent
from tests.stack import PERDURE, Up, environment
from tests.waiting import WITHIN_SECONDS

UNDRAWN_SECONDS = 0.5
"""A spinner draws twelve times a second."""


class Terminal:
    """A command on a pseudo-terminal, or with a file as stdout, as in `perdure run … > file`."""

    def __init__(self, home: Path, output: Path | None, *arguments: str, **more: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 60))
        with ExitStack() as stack:
            self.process = subprocess.Popen(
                tie_to_parent([str(PERDURE), *arguments], signal.SIGTERM, launch.SELF),
                env={**environment(home, **more), "TERM": "xterm"},
                stdin=slave,
                stdout=slave if output is None else stack.enter_context(output.open("wb")),
                stderr=slave,
                start_new_session=True,
            )
        os.close(slave)
        self.shown = ""

    def read_until(self, words: str) -> str:
        """What is shown up to these words."""
        deadline = time.monotonic() + WITHIN_SECONDS
        while words not in self.shown:
            assert self._read(deadline - time.monotonic()), self.shown
        before, _, self.shown = self.shown.partition(words)
        return before

    def is_quiet(self) -> bool:
        """Whether nothing is drawn while a person thinks."""
        ends_at = time.monotonic() + UNDRAWN_SECONDS
        while (left := ends_at - time.monotonic()) > 0:
            self._read(left)
        return not self.shown.strip(" ")

    def type(self, line: str) -> None:
        os.write(self._master, line.encode())

    def end(self) -> int:
        """The exit code, after all output was read."""
        while self._read(WITHIN_SECONDS):
            continue
        return self.process.wait(WITHIN_SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def _read(self, seconds: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(seconds, 0))
        try:
            piece = os.read(self._master, 65_536) if ready else b""
        except OSError:  # Linux: the other end was closed
            return False
        self.shown += piece.decode("utf-8", "replace")
        return bool(piece)


@contextmanager
def terminal(
    stack: Up, more: dict[str, str], output: Path | None, *arguments: str
) -> Iterator[Terminal]:
    shown = Terminal(stack.home.path, output, *arguments, **more)
    try:
        yield shown
    finally:
        shown.close()
