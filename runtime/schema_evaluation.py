"""Evaluates JSON Schemas of users outside the event loop, in a process with limits.

The process starts with the first evaluation and ends when there is none for a while. If an
evaluation takes too much time or memory, the kernel ends the process, and the next evaluation
starts another. A user has one evaluation at a time, so users take turns.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

from domain.errors import RateLimitedError
from domain.json_schemas import (
    EVALUATOR_READY,
    MAX_EVALUATION_SECONDS,
    MAX_SCHEMA_BYTES,
    TOO_EXPENSIVE,
    SchemaProblem,
)
from domain.processor_time import ProcessorTime

_LONGEST_SECONDS = 20.0
"""For an evaluation whose process gets little processor time (chosen)."""

_NICENESS = 10
"""Under load, evaluations get a tenth of the processor time of other processes (sched(7))."""

_IDLE_SECONDS = 60.0
"""After this time without evaluations the process ends: it uses 25 MB."""

_START_SECONDS = 0.3
"""Processor time of a start, which a user pays whose evaluation ended the process (measured)."""

_FREE_SECONDS, _EARNED_PER_SECOND = 1.0, 0.1
"""Processor time of one user's evaluations: a second at once, then a tenth of a processor. An
ordinary evaluation takes a millisecond (chosen)."""


class IsolatedEvaluator:
    """Implements `domain.json_schemas.SchemaEvaluator`."""

    def __init__(self, *, is_metered: bool) -> None:
        """If metered, users who have used up their time are refused.

        A worker is not: refusing would lose an answer that was paid for.
        """
        self._meter = _Meter() if is_metered else None
        self._turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()
        self._process = _EvaluationProcess()

    async def schema_problems(
        self, user_id: UUID, schema: Mapping[str, Any]
    ) -> Sequence[SchemaProblem]:
        """Why the schema can't be used.

        Raises:
            RateLimitedError: the user's evaluations took too much time.
        """
        return await self._evaluate(user_id, {"schema": schema})

    async def value_problems(
        self, user_id: UUID, schema: Mapping[str, Any], value: Any
    ) -> Sequence[SchemaProblem]:
        """Why the value does not match the schema.

        Raises:
            RateLimitedError: the user's evaluations took too much time.
        """
        return await self._evaluate(user_id, {"schema": schema, "value": value})

    async def close(self) -> None:
        """End the process."""
        await self._process.end()

    async def _evaluate(self, user_id: UUID, request: dict[str, Any]) -> Sequence[SchemaProblem]:
        if len(json.dumps(request["schema"])) > MAX_SCHEMA_BYTES:
            msg = f"The schema has more than {MAX_SCHEMA_BYTES // 1024} KiB; shorten it."
            return [SchemaProblem((), msg)]
        line = json.dumps(request).encode() + b"\n"
        turn = self._turns.setdefault(user_id, asyncio.Lock())
        has_to_wait = turn.locked()
        self._admit(user_id, has_to_wait=has_to_wait)
        async with turn:
            self._admit(user_id, has_to_wait=has_to_wait)
            answer = await self._process.ask(line)
            if self._meter is not None:
                self._meter.charge(user_id, answer["seconds"])
        where = "" if answer["is_usable"] else "The schema can't be used: "
        return [SchemaProblem(tuple(path), f"{where}{msg}") for path, msg in answer["problems"]]

    def _admit(self, user_id: UUID, *, has_to_wait: bool) -> None:
        if self._meter is not None:
            self._meter.admit(user_id, has_to_wait=has_to_wait)


class _EvaluationProcess:
    """One process, which answers one request at a time."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        self._idle: asyncio.TimerHandle | None = None

    async def ask(self, line: bytes) -> dict[str, Any]:
        """Send a request and return the answer."""
        async with self._lock:
            self._stay()
            try:
                process = self._process or await self._start()
                answer = await self._exchange(process, line)
            except BaseException:  # without its answer, the next request would get it
                await self._kill()
                raise
            if answer is None:
                await self._kill()
                return {
                    "problems": [([], TOO_EXPENSIVE)],
                    "is_usable": False,
                    "seconds": MAX_EVALUATION_SECONDS + _START_SECONDS,
                }
            self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._leave)
            return answer

    async def end(self) -> None:
        """End the process, if it runs."""
        async with self._lock:
            self._stay()
            await self._kill()

    async def _start(self) -> Process:
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "runtime.schema_process"), stdin=PIPE, stdout=PIPE, env={}
        )
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
        if process.stdout is None or await process.stdout.readline() != EVALUATOR_READY:
            raise RuntimeError("the process that evaluates schemas does not start")
        return process

    async def _exchange(self, process: Process, line: bytes) -> dict[str, Any] | None:
        """Return the answer, or None if the process was ended, or takes too long."""
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the process has no pipes")
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                process.stdin.write(line)
                await process.stdin.drain()
                answer = await process.stdout.readline()
        except (OSError, TimeoutError):
            return None
        return json.loads(answer) if answer else None

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _leave(self) -> None:
        """Let the process end by itself: its input ends."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        if process.stdin is not None:
            process.stdin.close()
        await process.wait()


class _Meter:
    """The processor time that each user owes."""

    def __init__(self) -> None:
        self._time = ProcessorTime(_EARNED_PER_SECOND)

    def admit(self, user_id: UUID, *, has_to_wait: bool) -> None:
        """Refuse a user who owes more than is free.

        Requests that wait hold connections to the database, so they wait only for cheap
        evaluations of their user, of which hundreds are possible.
        """
        free = MAX_EVALUATION_SECONDS if has_to_wait else _FREE_SECONDS
        excess = self._time.compute_owed(user_id) - free
        if excess >= 0:
            raise RateLimitedError(
                "Evaluating your schemas took too much processor time. Simplify them, or retry "
                "later.",
                retry_after_seconds=(excess + MAX_EVALUATION_SECONDS) / _EARNED_PER_SECOND,
            )

    def charge(self, user_id: UUID, seconds: float) -> None:
        """Add time."""
        self._time.charge(user_id, seconds)
