"""Which host this is: the one whose disk holds the workspaces below a home."""

import os
from pathlib import Path
from uuid import UUID, uuid4

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_FILE = "host_id"


def process_host(host: UUID) -> str:
    """Names the host for process ids, which mean something on one machine since its last boot."""
    boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else "unknown"
    return f"{host}/{boot}"


def known_host_id(home: Path) -> UUID | None:
    """The id kept in `home`, or None where no worker has worked yet. Writes nothing."""
    try:
        return UUID((home / _FILE).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None


def host_id(home: Path) -> UUID:
    """The id kept in `home/host_id`, made at first use; a volume that moves takes it along."""
    path = home / _FILE
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        own = path.with_name(f"{_FILE}.{os.getpid()}")
        own.write_text(str(uuid4()), encoding="ascii")
        try:
            # Of two workers that start at once one wins, and both read what it wrote.
            os.link(own, path)
        except FileExistsError:
            pass
        finally:
            own.unlink()
    return UUID(path.read_text(encoding="ascii").strip())
