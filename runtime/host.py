"""The identity of a host: workspaces below its home directory exist only on its disk."""

import os
from pathlib import Path
from uuid import UUID, uuid4

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

_FILE = "host_id"


def process_host(host: UUID) -> str:
    """Return an id of this machine since its last boot, within which process ids are valid."""
    boot = BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else "unknown"
    return f"{host}/{boot}"


def read_host_id(home: Path) -> UUID | None:
    """Return the id that is stored in `home`, or None if no worker has run there yet."""
    try:
        return UUID((home / _FILE).read_text(encoding="ascii").strip())
    except FileNotFoundError:
        return None


def host_id(home: Path) -> UUID:
    """Return the id in `home/host_id`, and create it at first use. It moves with the volume."""
    path = home / _FILE
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        candidate = path.with_name(f"{_FILE}.{os.getpid()}")
        candidate.write_text(str(uuid4()), encoding="ascii")
        try:
            # If two workers start at the same time, one succeeds, and both read its id.
            os.link(candidate, path)
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return UUID(path.read_text(encoding="ascii").strip())
