"""Run `alembic check` on a migrated database: the tables in code must match the migrations."""

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cli.stack import postgres
from cli.stack.addresses import free_port
from cli.stack.home import write_secret
from cli.stack.postgres import Postgres
from cli.stack.process import RunningPart


async def check(directory: Path) -> int:
    """Run the check against a temporary server; returns the exit code of alembic."""
    write_secret(directory / "password", "throw-away")
    server = Postgres(
        directory / "data", free_port(), directory / "password", options={"fsync": "off"}
    )
    await postgres.initialise(server)
    running = await RunningPart.start(postgres.part(server, directory / "postgres.log"))
    try:
        return await asyncio.to_thread(_alembic, server.url)
    finally:
        await running.stop()


def _alembic(url: str) -> int:
    environment = {**os.environ, "PERDURE_DATABASE_URL": url}
    for command in ("upgrade head", "check"):
        alembic = [sys.executable, "-m", "alembic", *command.split()]
        code = subprocess.run(alembic, env=environment, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="perdure-check-") as name:
        Path(name).chmod(0o711)  # the server's user must be able to enter this directory
        sys.exit(asyncio.run(check(Path(name))))
