"""The report comes before the end, and nothing that is wrong with it keeps the end away."""

import pytest
from sqlalchemy import text

from domain.executions.states import ExecutionStatus
from services.executions.finishing import REPORT_FAILED
from tests.engine.driver import Engine


async def test_the_report_comes_before_the_last_event(engine: Engine) -> None:
    run = await engine.run_to_completion(
        {"text": "Done."}, generate_report=True, report_format="pdf"
    )
    assert (await run.event_types())[-2:] == ["report.ready", "execution.completed"]
    row = await run.row()
    assert row.report_id is not None
    assert row.report_error is None


async def test_a_failed_execution_has_a_report_too(engine: Engine) -> None:
    run = await engine.run_to_failure(
        {"error": {"status": 400, "type": "invalid_request_error", "message": "no"}},
        code="model_request_invalid",
        generate_report=True,
        report_format="html",
    )
    assert (await run.event_types())[-2:] == ["report.ready", "execution.failed"]


@pytest.mark.parametrize(
    ("broken", "repaired"),
    [
        ("RENAME TO broken_reports", "ALTER TABLE broken_reports RENAME TO reports"),
        # Fails at the write, after all has been read.
        (
            "ADD CONSTRAINT ck_broken CHECK (title = '') NOT VALID",
            "ALTER TABLE reports DROP CONSTRAINT ck_broken",
        ),
    ],
)
async def test_a_report_that_can_not_be_made_fails_nothing(
    engine: Engine, broken: str, repaired: str
) -> None:
    await _execute(engine, f"ALTER TABLE reports {broken}")
    try:
        run = await engine.run_to_completion(
            {"text": "Done."}, generate_report=True, report_format="html"
        )
    finally:
        await _execute(engine, repaired)
    row = await run.row()
    assert row.status == ExecutionStatus.COMPLETED
    assert row.report_error == REPORT_FAILED
    assert row.report_id is None
    assert (await run.event_types())[-1] == "execution.completed"


async def _execute(engine: Engine, statement: str) -> None:
    async with engine.database.transaction() as session:
        await session.execute(text(statement))
