"""Storing a report: when one is written, and what it contains."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from domain.errors import NotFoundError
from domain.executions.report_facts import Counts
from domain.ids import new_id
from persistence.db.database import Database
from persistence.tables.executions import ExecutionEventRow, ExecutionRow
from persistence.tables.sessions import MessageRow, ModelCallRow, ReportRow
from reports.model import ReportContent
from tests.reports import examples
from tests.reports.conftest import ReportOf, stored_report
from tests.reports.execution_builder import ExecutionBuilder, definition, start_execution


async def events_of(database: Database, execution_id: UUID) -> Sequence[ExecutionEventRow]:
    async with database.reading() as session:
        rows = await session.scalars(
            select(ExecutionEventRow).where(ExecutionEventRow.execution_id == execution_id)
        )
        return rows.all()


async def reports_of(database: Database, execution_id: UUID) -> Sequence[ReportRow]:
    async with database.reading() as session:
        rows = await session.scalars(
            select(ReportRow).where(ReportRow.execution_id == execution_id)
        )
        return rows.all()


async def answered_execution(database: Database, **facts: Any) -> ExecutionBuilder:
    """An execution with a prompt and an answer."""
    async with database.transaction() as session:
        builder = await start_execution(session, **facts)
        await builder.add_user_message("Go.")
        await builder.add_answer("Done.")
    return builder


async def test_a_report_is_stored_with_its_event(database: Database) -> None:
    builder = await answered_execution(database)
    report = await stored_report(database, builder.row.id)
    assert report is not None
    assert (report.title, report.format) == (builder.row.title, "html")
    async with database.reading() as session:
        row = await session.get_one(ExecutionRow, builder.row.id)
    assert row.report_id == report.id
    [event] = await events_of(database, builder.row.id)
    assert event.type == "report.ready"
    assert event.data == {"report_id": str(report.id), "format": "html"}
    assert event.seq == row.event_seq == 1


async def test_a_second_attempt_does_nothing(database: Database) -> None:
    builder = await answered_execution(database)
    first = await stored_report(database, builder.row.id)
    second = await stored_report(database, builder.row.id)
    assert first is not None
    assert second is not None
    assert first.id == second.id
    assert len(await events_of(database, builder.row.id)) == 1


async def test_parallel_attempts_write_one_report(database: Database) -> None:
    builder = await answered_execution(database)
    await asyncio.gather(*(stored_report(database, builder.row.id) for _ in range(4)))
    assert len(await reports_of(database, builder.row.id)) == 1
    assert len(await events_of(database, builder.row.id)) == 1


async def test_an_execution_that_continued_gets_a_new_report(database: Database) -> None:
    builder = await answered_execution(database)
    before = await stored_report(database, builder.row.id)
    async with database.transaction() as session:
        builder.session, builder.row = session, await session.get_one(ExecutionRow, builder.row.id)
        await builder.add_user_message("And now in French.")
        await builder.add_answer("Fini.")
    after = await stored_report(database, builder.row.id)
    assert before is not None
    assert after is not None
    assert before.id != after.id
    assert after.content["outcome"]["text"]["text"] == "Fini."
    async with database.reading() as session:
        assert (await session.get_one(ExecutionRow, builder.row.id)).report_id == after.id


async def test_a_reset_to_the_same_step_gets_a_new_report(database: Database) -> None:
    builder = await answered_execution(database)
    await stored_report(database, builder.row.id)
    async with database.transaction() as session:
        (await session.get_one(ExecutionRow, builder.row.id)).epoch += 1
    await stored_report(database, builder.row.id)
    assert len(await reports_of(database, builder.row.id)) == 2


async def test_no_report_is_stored_after_the_end(database: Database) -> None:
    builder = await answered_execution(database, status="completed")
    assert await stored_report(database, builder.row.id) is None
    assert not await events_of(database, builder.row.id)


async def test_a_task_that_wants_no_report_gets_none(database: Database) -> None:
    builder = await answered_execution(database, definition=definition(generate_report=False))
    assert await stored_report(database, builder.row.id) is None


async def test_no_such_execution(database: Database) -> None:
    with pytest.raises(NotFoundError):
        await stored_report(database, new_id())


async def test_an_ordinary_execution(report_of: ReportOf) -> None:
    content = ReportContent.model_validate(await report_of(examples.ordinary))
    assert content.outcome.status == "completed"
    assert content.outcome.text is not None
    assert content.outcome.text.text == examples.RESULT
    assert content.outcome.message_seq == content.transcript[-1].seq == 12
    assert content.turns == 6
    assert content.counts.tool_calls == len(content.tool_calls) == 7
    assert content.omitted == Counts()
    [failed] = [call for call in content.tool_calls if call.is_error]
    assert failed.message_seq == 4
    assert failed.duration_ms == 500
    [question] = content.input_requests
    assert question.waited_ms == 5_400_000
    assert question.answer is not None
    assert question.answer.text == "Yes, for the finance team."
    [subtask] = content.subtasks
    assert subtask.duration_ms == 14_000
    assert [file.name for file in content.artifacts] == ["orders.md"]


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ({"decision": "deny"}, None),
        ({"decision": "deny", "message": "Not today."}, "Not today."),
        ({"decision": "approve", "values": {"answer": "Saturday"}}, "Saturday"),
        ({"decision": "approve", "values": {"n": 1}, "message": "!"}, '{\n  "n": 1\n}\n!'),
        ({"decision": "edit", "input": {"command": "ls"}}, '{\n  "command": "ls"\n}'),
        ({"decision": "approve", "values": {"answer": False}}, "false"),
        ({"decision": "approve", "values": 0, "message": "None."}, "0\nNone."),
        ({"decision": "approve", "values": {"answer": ""}}, '""'),
        ({"decision": "approve", "values": []}, "[]"),
        ({"decision": "skip"}, None),
    ],
)
async def test_the_answer_of_a_person(
    database: Database, answer: dict[str, Any], text: str | None
) -> None:
    async with database.transaction() as session:
        builder = await start_execution(session)
        await builder.add_input_request(title="?", answer=answer)
    report = await stored_report(database, builder.row.id)
    assert report is not None
    [request] = ReportContent.model_validate(report.content).input_requests
    assert request.decision == answer["decision"]
    assert (request.answer and request.answer.text) == text


async def test_every_tool_call_links_to_the_message_that_requests_it(report_of: ReportOf) -> None:
    content = ReportContent.model_validate(await report_of(examples.ordinary))
    asked = {
        block.tool_use_id: message.seq
        for message in content.transcript
        for block in message.blocks
        if block.kind == "tool_use"
    }
    assert asked == {call.tool_use_id: call.message_seq for call in content.tool_calls}


async def test_the_timeline_has_a_lane_for_each_kind_of_work(report_of: ReportOf) -> None:
    content = ReportContent.model_validate(await report_of(examples.ordinary))
    lanes = [span.lane for span in content.timeline]
    assert {lane: lanes.count(lane) for lane in lanes} == {
        "model": 7,
        "tools": 5,
        "subtasks": 1,
        "people": 1,
    }
    assert sum(span.is_error for span in content.timeline) == 2


async def test_tokens_and_cost_add_up(report_of: ReportOf) -> None:
    content = ReportContent.model_validate(await report_of(examples.ordinary))
    [model] = content.cost.by_model
    assert model.calls == 7
    assert model.tokens == content.tokens
    assert content.tokens.input == 6 * 1_200
    assert content.tokens.cache_write == 6 * 800
    assert content.cost.total_usd == model.cost_usd == Decimal("0.0738")
    assert content.cost.subtasks_usd == Decimal("0.04")
    assert content.cost.budget_usd == 2


async def test_a_failure_wins_over_an_earlier_answer(database: Database) -> None:
    builder = await answered_execution(
        database, error_code="max_turns", error_message="The limit is reached."
    )
    report = await stored_report(database, builder.row.id)
    assert report is not None
    outcome = report.content["outcome"]
    assert (outcome["status"], outcome["error_code"]) == ("failed", "max_turns")
    assert outcome["message"] == "The limit is reached."
    assert outcome["text"]["text"] == "Done."


async def test_a_cancel_wins_over_a_failure(database: Database) -> None:
    builder = await answered_execution(
        database,
        error_code="max_turns",
        cancel_requested_at=datetime.now(UTC),
        cancel_reason="Not needed any more.",
    )
    report = await stored_report(database, builder.row.id)
    assert report is not None
    outcome = report.content["outcome"]
    assert (outcome["status"], outcome["error_code"]) == ("cancelled", None)
    assert outcome["message"] == "Not needed any more."


async def test_a_call_without_an_answer_costs_its_estimate(database: Database) -> None:
    async with database.transaction() as session:
        builder = await start_execution(session, cancel_requested_at=datetime.now(UTC))
        await builder.add_user_message("Go.")
        builder.turn = 1
        await builder.add_model_call(1, status="intended", estimate_usd=Decimal("0.5"))
    report = await stored_report(database, builder.row.id)
    assert report is not None
    cost = report.content["cost"]
    assert cost["total_usd"] == cost["estimated_usd"] == 0.5
    assert cost["by_model"][0]["cost_usd"] == 0.5


async def test_superseded_steps_appear_only_in_the_cost(database: Database) -> None:
    builder = await answered_execution(database)
    async with database.transaction() as session:
        await session.execute(update(ModelCallRow).values(superseded_at=func.now()))
        await session.execute(update(MessageRow).values(superseded_at=func.now()))
    report = await stored_report(database, builder.row.id)
    assert report is not None
    content = report.content
    assert content["cost"]["total_usd"] == content["cost"]["superseded_usd"] == 0.0123
    assert not content["transcript"]
    assert not content["model_calls"]
    assert not content["timeline"]


async def test_a_structured_result(database: Database) -> None:
    result = {"text": '{"n": 1}', "output": {"n": 1}}
    builder = await answered_execution(database)
    async with database.transaction() as session:
        (await session.get_one(ExecutionRow, builder.row.id)).result_data = result
    report = await stored_report(database, builder.row.id)
    assert report is not None
    assert report.content["outcome"]["output"] == {"n": 1}


async def test_a_long_execution_is_shown_by_its_ends(report_of: ReportOf) -> None:
    raw = await report_of(examples.endless)
    content = ReportContent.model_validate(raw)
    seqs = [message.seq for message in content.transcript]
    assert seqs == [*range(1, 21), *range(123, 223)]
    assert content.counts.messages == 222
    assert content.omitted.messages == 102
    assert len(content.tool_calls) == 200
    assert content.omitted.tool_calls == 20
    assert content.outcome.text is not None
    assert content.outcome.text.chars == 120_000
    assert content.outcome.text.left_out == 100_000
    output = content.tool_calls[0].output
    assert output is not None
    assert output.chars == 30_000


async def test_a_very_long_message_is_shown_by_its_size(database: Database) -> None:
    async with database.transaction() as session:
        builder = await start_execution(session)
        await builder.add_user_message("x" * 1_000_001)
    report = await stored_report(database, builder.row.id)
    assert report is not None
    [block] = report.content["transcript"][0]["blocks"]
    assert block["kind"] == "other"
    assert block["text"]["chars"] > 1_000_000
