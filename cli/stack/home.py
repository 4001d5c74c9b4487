"""The files in PERDURE_HOME: secrets, servers' data, logs, and the lock of `perdure up`."""

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.exits import CommandError

# 256 bits: what RFC 7518, section 3.2, asks of an HS256 key.
SECRET_BYTES = 32

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class AlreadyRunningError(CommandError):
    """Another `perdure up` runs on this home."""


class HomeError(CommandError):
    """The directory can't be used as a home."""

    def __init__(self, path: Path, error: OSError) -> None:
        """`error` is that of the system."""
        remedy = "Set PERDURE_HOME to a directory that you can write."
        if error.errno in FULL:
            remedy = "Free disk space, or set PERDURE_HOME to a directory on another disk."
        super().__init__(f"{path} can't be used: {error.strerror}. {remedy}")


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of the directory, which only its owner may read."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> "Home":
        """The home at `path`, created if needed.

        Raises:
            HomeError: the directory can't be created or written.
        """
        home = cls(path.absolute())
        try:
            home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise HomeError(home.path, error) from None
        return home

    @property
    def postgres_data(self) -> Path:
        """The embedded Postgres' data directory."""
        return self.path / "postgres"

    @property
    def temporal_database(self) -> Path:
        """The embedded Temporal's file."""
        return self.path / "temporal.db"

    @property
    def ready_file(self) -> Path:
        """`ready.json`: addresses, token and process ids while the stack runs."""
        return self.path / "ready.json"

    @property
    def migrated_file(self) -> Path:
        """The migrations that were applied to the embedded database."""
        return self.path / "migrated"

    @property
    def postgres_password_file(self) -> Path:
        """The password of the embedded Postgres."""
        return self.path / "postgres.password"

    @property
    def jwt_secret_file(self) -> Path:
        """The secret that signs this home's tokens."""
        return self.path / "jwt.secret"

    @property
    def secrets_key_file(self) -> Path:
        """The key that encrypts users' secrets; without it they are lost."""
        return self.path / "secrets.key"

    @property
    def logs(self) -> Path:
        """The directory of the parts' logs."""
        return self.path / "logs"

    def log(self, name: str) -> Path:
        """The log of a part."""
        return self.logs / f"{name}.log"

    def run_file(self, name: str) -> Path:
        """A small file that exists while a part runs."""
        return self.path / "run" / name

    def ensure_secret(self, path: Path) -> str:
        """The secret in `path`, generated at first use.

        Raises:
            HomeError: it can't be written.
        """
        if not path.exists():
            try:
                write_secret(path, secrets.token_urlsafe(SECRET_BYTES))
            except OSError as error:
                raise HomeError(self.path, error) from None
        return path.read_text(encoding="ascii").strip()

    def write_ready(self, facts: Mapping[str, Any]) -> None:
        """Replace `ready.json` in one step."""
        write_secret(self.ready_file, json.dumps(facts, indent=2) + "\n")

    def read_ready(self) -> dict[str, Any] | None:
        """The content of `ready.json`, or None when no stack runs here.

        Raises:
            HomeError: the file can't be read.
        """
        try:
            facts: dict[str, Any] = json.loads(self.ready_file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HomeError(self.path, error) from None
        return facts

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Lock the home for one supervisor. The kernel releases the lock when the process ends.

        Raises:
            AlreadyRunningError: another process holds the lock.
            HomeError: the directory can't be written.
        """
        try:
            file = (self.path / "lock").open("a+", encoding="ascii")
        except OSError as error:
            raise HomeError(self.path, error) from None
        with file as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(self._describe_holder()) from None
            yield

    def is_held(self) -> bool:
        """Whether a supervisor runs on this home."""
        with suppress(AlreadyRunningError), self.lock():
            return False
        return True

    def _describe_holder(self) -> str:
        facts = self.read_ready()
        if facts is None:
            return f"Perdure is starting or stopping on {self.path}; try again in a moment."
        return (
            f"Perdure is running on {self.path} already: {facts['api_url']} "
            f"(process {facts['pids']['supervisor']}). Stop that one, or set PERDURE_HOME to "
            "another directory."
        )


def write_secret(path: Path, content: str) -> None:
    """Write a file that only its owner may read, in one step."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}")
    staging.unlink(missing_ok=True)
    descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    staging.replace(path)
