"""What the next attempt reads, where the one before it did not come to its end."""

from decimal import Decimal

from sqlalchemy import text

from activities.render_prompt import render_prompt
from domain.errors import ErrorCode
from domain.executions.steps import Step
from persistence.db.database import Database
from tests.persistence.opened import answer, intent, open_execution


async def test_a_call_that_a_reset_set_aside_is_charged_and_not_repeated(
    database: Database,
) -> None:
    execution = await open_execution(database)
    writer = await execution.writer(1)
    first = intent()
    await writer.write(Step(call_intent=first))
    cut = intent(2, last_message_seq=2, estimate_usd=Decimal("0.25"))
    await writer.write(answer(first) + Step(call_intent=cut))
    reset = execution.record(1, run_id="reset", is_reset=True, last_message_seq=1)
    snapshot = await reset.begin()
    assert (snapshot.lost_intent_sha256, snapshot.cost_usd) == (None, Decimal("0.25"))
    assert snapshot.turn == 0


async def test_an_invalid_definition_is_a_failure(database: Database) -> None:
    execution = await open_execution(database)
    async with database.transaction() as session:
        await session.execute(
            text("UPDATE executions SET definition = '{}', prefix_sha256 = NULL WHERE id = :id"),
            {"id": execution.id},
        )
        await session.execute(
            text("DELETE FROM messages WHERE execution_id = :id"), {"id": execution.id}
        )
    rendered = await render_prompt(database, execution.id, default_model="claude-opus-5-5")
    assert rendered.error_code is ErrorCode.INVALID_DEFINITION
