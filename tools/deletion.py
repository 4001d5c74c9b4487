"""Deletes directories in which commands have worked."""

import asyncio
from pathlib import Path

from tools.launch import PATH


async def delete_directory(path: Path) -> None:
    """Delete a directory if it exists, however deep it is and whatever the modes inside are.

    Raises:
        OSError: it can't be deleted.
    """
    await _run("rm", "-rf", "--", path)
    if await asyncio.to_thread(path.exists):
        # Only root can delete the content of a read-only directory, such as those of Go's modules.
        await _run("chmod", "-R", "u+rwx", "--", path)
        await _run("rm", "-rf", "--", path)
    if await asyncio.to_thread(path.exists):
        raise OSError(f"{path} can't be deleted")


async def _run(*command: str | Path) -> None:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, env={"PATH": PATH}, stderr=quiet)
    await process.wait()
