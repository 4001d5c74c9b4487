"""Executions worth a report: an ordinary day, a hostile one, a very long one."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from tests.reports.told import Teller, begun

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


async def ordinary(session: AsyncSession) -> Teller:
    """Tools, a failure that was mended, a question, an approval, a subtask, a file."""
    story = await begun(session, title="Nightly check of the orders against their payments")
    await story.say("Check last night's orders against the payments.\nTell me what needs a person.")
    await story.tools(
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
    story.turn += 1
    await story.model_call(
        0.8, status="failed", error_message="Overloaded", error_kind="overloaded"
    )
    story.turn -= 1
    story.now += timedelta(seconds=1)
    await story.tools(
        {
            "name": "bash",
            "input": {"command": "psql -f queries/payments.sql -v day=yesterday"},
            "output": 'psql: error: syntax error at or near "yesterday"',
            "is_error": True,
            "seconds": 0.5,
        }
    )
    await story.tools(
        {
            "name": "bash",
            "input": {"command": "psql -f queries/payments.sql -v day=\"'2026-11-20'\""},
            "output": "\x1b[32m1281 rows\x1b[0m",
            "seconds": 6.2,
        },
        text="The variable wants quotes. Once more:",
    )
    await story.tools(
        {
            "name": "ask_user",
            "input": {"question": "Order A-20931 was paid twice. Shall I open a ticket?"},
            "output": "Yes, for the finance team.",
            "seconds": 5_400,
            "request": {
                "title": "Order A-20931 was paid twice. Shall I open a ticket?",
                "answer": {"decision": "approve", "message": "Yes, for the finance team."},
                "answered_by": story.row.user_id,
            },
        }
    )
    await story.subtask("Describe the three orders", seconds=14)
    await story.tools(
        {
            "name": "delegate",
            "input": {"title": "Describe the three orders", "prompt": "Read …"},
            "output": "Done.",
            "seconds": 14,
        },
        {"name": "write_file", "input": {"path": "orders.md", "content": "# Orders\n" * 30}},
    )
    await story.kept("orders.md", 4_210)
    await story.answer(RESULT)
    return story


async def hostile(session: AsyncSession) -> Teller:
    """Every text there is says something evil."""
    story = await begun(session, title=EVIL)
    await story.say(EVIL)
    await story.tools(
        {
            "name": EVIL,
            "input": {"command": EVIL, EVIL: [EVIL]},
            "output": EVIL.replace("\0", "").replace("\ud800", ""),
            "reason": EVIL,
            "request": {"title": EVIL, "kind": "approval", "answer": {"message": EVIL}},
        },
        text=EVIL,
    )
    await story.message("assistant", [{"type": EVIL}, {"type": "thinking", "thinking": EVIL}])
    await story.subtask(EVIL, seconds=1)
    await story.kept(EVIL, 1)
    await story.answer(EVIL)
    return story


async def endless(session: AsyncSession, turns: int = 110) -> Teller:
    """More turns, calls and messages than a report keeps, each with a huge output."""
    story = await begun(session, title="A long night")
    await story.say("Go on until you are done.")
    for turn in range(turns):
        call = {
            "name": "bash",
            "input": {"command": f"step {turn} " + "x" * 5_000},
            "output": "é" * 30_000,
        }
        await story.tools(call, call, text="So far so good. " * 500)
    await story.answer("Done. " * 20_000)
    return story


async def silent(session: AsyncSession) -> Teller:
    """It ended before anything was said."""
    return await begun(session, error_code="invalid_definition", started_at=None)
