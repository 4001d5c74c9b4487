"""Converts pages to Markdown in a process with limits, so that no page can delay the worker."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from typing import cast

from domain.errors import ToolInputError
from tools.web.page_process import PagePart, PageRequest

_LONGEST_SECONDS = 60.0
"""For a process that gets a third of a processor (chosen; `page_process.PROCESSOR_SECONDS`)."""

_NICENESS = 10
"""As for commands: the gateway and the loop come first."""

_AT_ONCE = 2
"""Conversions of one worker at a time: each may need a GiB of memory (chosen)."""


class PageConverter:
    """Converts the pages of one worker."""

    def __init__(self) -> None:
        """No process is started yet."""
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def convert(self, content: bytes, request: PageRequest) -> PagePart:
        """Return a part of a page as text.

        Raises:
            ToolInputError: the page needs too much time or memory.
        """
        async with self._turns:
            answer = await _run(json.dumps(request).encode() + b"\n" + content)
        if answer is None:
            raise ToolInputError(
                "The page is too large or too complex to be converted to Markdown. Read its source "
                "with http_request, or another page."
            )
        return cast("PagePart", json.loads(answer))


async def _run(given: bytes) -> bytes | None:
    """Return the output of one conversion, or None if its process failed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "tools.web.page_process"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        env={},
    )
    try:
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        async with asyncio.timeout(_LONGEST_SECONDS):
            answer, _ = await process.communicate(given)
    except TimeoutError:
        return None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer if process.returncode == 0 else None
