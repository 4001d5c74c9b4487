"""Example executions: an ordinary one, one with hostile texts, a very long one, an empty one."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from tests.reports.execution_builder import ExecutionBuilder, start_execution

RESULT = """\
## Three orders need a look

All **1,284 orders** of last night were matched with their payments; three were not:

| order | amount | what is wrong |
|---|---:|---|
| `A-20931` | €412.00 | paid twice, refund is pending |
| `A-20977` | €18.50 | payment is from another currency account |
| `A-21004` | €1,990.00 | no payment after 48 hours |

1. I opened a ticket for the double payment, as you approved.
2. The other two are in [`orders.md`](https://example.com/orders.md), with the queries I used.

> Nothing was changed in the ledger.
"""

EVIL = (
    "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> \0 \x1b[31mred\x1b[0m "
    "\u202egnp.exe\u202c [click](javascript:alert(3)) ![p](https://evil.example/p.png) "
    "</style></pre></details>{{ 7 * 7 }} <!-- \ud800 & \x07 \uffff"
)
"""What a model, a tool or a person may write."""


async def ordinary(session: AsyncSession) -> ExecutionBuilder:
    """Tools, a failed call and its retry, a question, a subtask, a file."""
    builder = await start_execution(
        session, title="Nightly check of the orders against their payments"
    )
    await builder.add_user_message(
        "Check last night's orders against the payments.\nList what needs a person."
    )
    await builder.add_tool_turn(
        {
            "name": "bash",
            "input": {"command": "psql -c 'select count(*) from orders where day = :day'"},
            "output": " count\n-------\n  1284\n(1 row)",
            "seconds": 1.3,
        },
        {
            "name": "read_file",
            "input": {"path": "queries/payments.sql"},
            "output": "select id, amount\nfrom payments\nwhere booked_on >= :day",
            "seconds": 0.1,
        },
        text="I'll count the orders first and read the query that you keep for the payments.",
    )
    builder.turn += 1
    await builder.add_model_call(
        0.8, status="failed", error_message="Overloaded", error_kind="overloaded"
    )
    builder.turn -= 1
    builder.now += timedelta(seconds=1)
    await builder.add_tool_turn(
        {
            "name": "bash",
            "input": {"command": "psql -f queries/payments.sql -v day=yesterday"},
            "output": 'psql: error: syntax error at or near "yesterday"',
            "is_error": True,
            "seconds": 0.5,
        }
    )
    await builder.add_tool_turn(
        {
            "name": "bash",
            "input": {"command": "psql -f queries/payments.sql -v day=\"'2026-11-20'\""},
            "output": "\x1b[32m1281 rows\x1b[0m",
            "seconds": 6.2,
        },
        text="The variable wants quotes. Once more:",
    )
    await _finish_with_people(builder)
    return builder


async def _finish_with_people(builder: ExecutionBuilder) -> None:
    """A question that takes an hour and a half, a subtask, a file and the answer."""
    await builder.add_tool_turn(
        {
            "name": "ask_user",
            "input": {"question": "Order A-20931 was paid twice. Shall I open a ticket?"},
            "output": "Yes, for the finance team.",
            "seconds": 5_400,
            "request": {
                "title": "Order A-20931 was paid twice. Shall I open a ticket?",
                "answer": {"decision": "approve", "message": "Yes, for the finance team."},
                "answered_by": builder.row.user_id,
            },
        }
    )
    await builder.add_subtask("Describe the three orders", seconds=14)
    await builder.add_tool_turn(
        {
            "name": "delegate",
            "input": {"title": "Describe the three orders", "prompt": "Read …"},
            "output": "Done.",
            "seconds": 14,
        },
        {"name": "write_file", "input": {"path": "orders.md", "content": "# Orders\n" * 30}},
    )
    await builder.add_file("orders.md", 4_210)
    await builder.add_answer(RESULT)


async def hostile(session: AsyncSession) -> ExecutionBuilder:
    """Every text is hostile."""
    builder = await start_execution(session, title=EVIL)
    await builder.add_user_message(EVIL)
    await builder.add_tool_turn(
        {
            "name": EVIL,
            "input": {"command": EVIL, EVIL: [EVIL]},
            "output": EVIL.replace("\0", "").replace("\ud800", ""),
            "reason": EVIL,
            "request": {"title": EVIL, "kind": "approval", "answer": {"message": EVIL}},
        },
        text=EVIL,
    )
    await builder.add_message("assistant", [{"type": EVIL}, {"type": "thinking", "thinking": EVIL}])
    await builder.add_subtask(EVIL, seconds=1)
    await builder.add_file(EVIL, 1)
    await builder.add_answer(EVIL)
    return builder


async def endless(session: AsyncSession, turns: int = 110) -> ExecutionBuilder:
    """More turns, calls and messages than a report contains, each with a huge output."""
    builder = await start_execution(session, title="A long night")
    await builder.add_user_message("Continue until you are done.")
    for turn in range(turns):
        call = {
            "name": "bash",
            "input": {"command": f"step {turn} " + "x" * 5_000},
            "output": "é" * 30_000,
        }
        await builder.add_tool_turn(call, call, text="So far so good. " * 500)
    await builder.add_answer("Done. " * 20_000)
    return builder


async def silent(session: AsyncSession) -> ExecutionBuilder:
    """It failed before its first message."""
    return await start_execution(session, error_code="invalid_definition", started_at=None)
