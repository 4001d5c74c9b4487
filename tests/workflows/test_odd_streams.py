"""Odd answers in Postgres: each execution ends, and each answer is paid once."""

import asyncio

import pytest

from tests.engine.driver import Engine
from tests.streams import ODD_STREAMS, OddStream

TOOLS = ["list_files", "write_file"]

AT_ONCE = 8
"""More than the worker has slots would only wait."""


@pytest.mark.long
async def test_every_odd_answer_is_recorded(engine: Engine) -> None:
    slots = asyncio.Semaphore(AT_ONCE)

    async def check(odd: OddStream) -> None:
        async with slots:
            run = await engine.start(odd.turn, {"text": "done"}, allowed_tools=TOOLS)
            row = await run.wait_for_end()
        calls = await run.model_calls()
        has_next = bool(odd.expect.calls) or odd.expect.continues
        found = (odd.name, row.error_code, len(calls), len(await run.tool_calls()))
        assert found == (odd.name, odd.expect.error_code, 1 + has_next, len(odd.expect.calls))
        assert row.cost_usd >= 0

    await asyncio.gather(*map(check, ODD_STREAMS))
