"""An operator resets a workflow in Temporal: the record follows, and the old run stops writing."""

import asyncio
import json
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError

from domain.errors import AlreadyAnsweredError, ErrorCode
from domain.executions.states import ExecutionStatus
from domain.ids import new_id
from persistence.tables.ledger import AuditRow
from services.executions.holding import withdraw
from tests.engine.driver import Engine, Run, script, use
from tests.waiting import eventually

LISTING = {"tool_use": use("list_files")}
ASKING = {"tool_use": use("ask_user", question="?")}
ECHO = {"text": "{last_tool_result}"}
TOOLS: dict[str, Any] = {"allowed_tools": ["list_files", "ask_user", "delegate", "bash"]}


async def tasks_of(run: Run, run_id: str | None = None) -> list[int]:
    """Return the event ids to which a workflow can be reset: the ends of its tasks."""
    handle = run.engine.client.get_workflow_handle(run.handle.id, run_id=run_id)
    events = json.loads((await handle.fetch_history()).to_json())["events"]
    return [int(e["eventId"]) for e in events if "workflowTaskCompletedEventAttributes" in e]


async def ask_to_reset(run: Run, task: int, run_id: str | None = None) -> None:
    """Reset to before the end of the n-th task of the newest or this run, as the UI does."""
    await run.engine.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=run.engine.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=run.handle.id, run_id=run_id or ""),
            reason="a test",
            request_id=str(new_id()),
            workflow_task_finish_event_id=(await tasks_of(run, run_id))[task],
        )
    )


async def reset(run: Run, task: int) -> None:
    """Reset it and wait until the record follows."""
    before = (await run.row()).epoch
    await ask_to_reset(run, task)
    row = await run.wait_until(lambda row: row.epoch == before + 1)
    assert len(row.run_epochs) == before + 2
    assert "execution.reset" in await run.event_types()


async def run_two_turns(engine: Engine) -> Run:
    """Run two turns, a question, an answer, the end."""
    run = await engine.start(LISTING, ASKING, ECHO, **TOOLS)
    await run.answer(await run.wait_for_request(), message="first")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    return run


async def test_reset_to_the_start(engine: Engine) -> None:
    run = await run_two_turns(engine)
    spent = (await run.row()).cost_usd
    await reset(run, 0)
    request = await run.wait_for_request()
    assert len(await run.messages()) == 4
    assert len(await run.messages(superseded=True)) == 5 + 4
    await run.answer(request, message="second")
    row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, "second")
    assert row.cost_usd > spent
    assert row.total_turns == 6
    calls = await run.model_calls()
    assert [call.superseded_at is not None for call in calls] == [True] * 3 + [False] * 3
    assert [call.turn for call in calls] == [1, 2, 3] * 2


async def test_reset_to_the_answer(engine: Engine) -> None:
    run = await run_two_turns(engine)
    await reset(run, 2)
    row = await run.wait_for_end()
    # The question was answered before the reset point, so only later steps are repeated.
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, "first")
    assert len(await run.requests()) == 1
    assert [call.superseded_at is not None for call in await run.model_calls()] == [
        False,
        False,
        True,
        False,
    ]


async def test_reset_to_every_workflow_task(engine: Engine) -> None:
    count = len(await tasks_of(await run_two_turns(engine)))
    for task in reversed(range(count - 1)):
        current = await run_two_turns(engine)
        await reset(current, task)
        row = await current.wait_until(
            lambda row: (
                row.status == ExecutionStatus.WAITING_FOR_USER
                or ExecutionStatus(row.status).is_terminal
            )
        )
        if row.status == ExecutionStatus.WAITING_FOR_USER:
            await current.answer(await current.wait_for_request(), message="more")
        assert (await current.wait_for_end()).status == ExecutionStatus.COMPLETED
        assert await current.text() == ("more" if task == 0 else "first")


async def test_a_reset_to_the_last_task_changes_nothing(engine: Engine) -> None:
    """The last segment has written the end, and the new run has its result."""
    run = await run_two_turns(engine)
    before = await rows_of(run)
    await ask_to_reset(run, -1)
    assert (await run.handle.result())["status"] == "completed"
    assert await rows_of(run) == before


async def test_open_requests_are_cancelled(engine: Engine) -> None:
    run = await engine.start(ASKING, ECHO, **TOOLS)
    old = await run.wait_for_request()
    await reset(run, 0)
    await run.wait_until(lambda row: row.status == ExecutionStatus.WAITING_FOR_USER)
    cancelled, fresh = await run.requests()
    assert (cancelled.id, cancelled.status, fresh.status) == (old.id, "cancelled", "open")
    with pytest.raises(AlreadyAnsweredError):
        await run.answer(old, message="to the old one")
    await run.answer(fresh, message="to the new one")
    await run.wait_for_end()
    assert await run.text() == "to the new one"


async def test_an_answer_that_can_be_withdrawn_is_dropped(engine: Engine) -> None:
    run = await engine.start(ASKING, ECHO, **TOOLS)
    old = await run.wait_for_request()
    await run.answer(old, message="first", undo_seconds=60)
    await reset(run, 0)
    fresh = await run.wait_for_request()
    with pytest.raises(AlreadyAnsweredError):
        async with engine.transaction() as work:
            await withdraw(work, old.id)
    await run.answer(fresh, message="second")
    await run.wait_for_end()
    assert await run.text() == "second"
    assert (await run.requests())[0].status == "cancelled"


async def test_an_unread_answer_is_dropped(engine: Engine) -> None:
    run = await engine.start(ASKING, ECHO, **TOOLS)
    request = await run.wait_for_request()

    async def answer() -> None:
        with suppress(AlreadyAnsweredError):  # the reset came first
            await run.answer(request, message="unread")

    await asyncio.gather(answer(), reset(run, 0))
    row = await run.wait_until(
        lambda row: row.status in (ExecutionStatus.WAITING_FOR_USER, ExecutionStatus.COMPLETED)
    )
    if row.status == ExecutionStatus.WAITING_FOR_USER:
        await run.answer(await run.wait_for_request(), message="read")
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_reset_during_a_model_call(engine: Engine) -> None:
    gate = engine.gate()
    run = await engine.start({"text": "x", "gate": gate.name}, **TOOLS)
    await run.wait_for_model_call()
    await reset(run, 0)
    gate.open()
    row = await run.wait_for_end()
    assert row.status == ExecutionStatus.COMPLETED
    superseded, answered = await run.model_calls()
    assert superseded.superseded_at is not None
    assert answered.status == "succeeded"


async def test_reset_during_a_command(engine: Engine) -> None:
    run = await engine.start(
        {"tool_use": use("bash", command="[ -e x ] || { touch x; sleep 600; }; echo again")},
        ECHO,
        **TOOLS,
    )
    call = await run.wait_for_tool_call()
    begun = await run.workspace() / "x"
    await eventually(partial(asyncio.to_thread, begun.exists))
    await reset(run, 0)
    await run.wait_for_end()
    assert "again" in await run.text()
    first, second = await run.tool_calls()
    assert (first.id, second.status) == (call.id, "succeeded")
    assert first.superseded_at is not None


async def test_a_failed_execution_is_reopened(engine: Engine) -> None:
    run = await engine.run_to_failure(
        {"text": "no", "stop_reason": "refusal"}, code=ErrorCode.MODEL_REFUSED
    )
    await reset(run, 0)
    row = await run.wait_for_end()
    assert row.error_code == ErrorCode.MODEL_REFUSED
    types = await run.event_types()
    assert types.count("execution.failed") == 2
    assert types.index("execution.failed") < types.index("execution.reset")


async def test_a_failure_keeps_its_message_where_only_the_end_is_repeated(engine: Engine) -> None:
    run = await engine.run_to_failure(
        {"text": "no", "stop_reason": "refusal"},
        code=ErrorCode.MODEL_REFUSED,
        generate_report=True,  # with a report, `finish` writes the end
    )
    before = await run.row()
    await reset(run, -1)
    row = await run.wait_for_end()
    assert (row.error_code, row.error_message) == (before.error_code, before.error_message)
    assert len(await run.model_calls()) == 1


async def test_a_cancelled_execution_is_reopened(engine: Engine) -> None:
    run = await engine.start(ASKING, ECHO, **TOOLS)
    await run.wait_for_request()
    await run.cancel("a mistake")
    await run.wait_for_end()
    await reset(run, 1)
    row = await run.wait_for_end()
    assert (row.status, row.cancel_requested_at) == (ExecutionStatus.COMPLETED, None)
    assert "The execution ended before this call did." in await run.text()


async def test_subtasks_of_superseded_steps_are_cancelled(engine: Engine) -> None:
    subtask = use("delegate", title="part", prompt=script(ASKING, {"text": "x"}))
    run = await engine.start({"tool_use": subtask}, {"text": "done"}, **TOOLS)
    await run.wait_for_status(ExecutionStatus.WAITING_FOR_SUBTASK)
    [old] = await run.children()
    await old.wait_for_request()
    await reset(run, 0)
    assert (await old.wait_for_end()).status == ExecutionStatus.CANCELLED
    await run.wait_until(lambda row: row.status == ExecutionStatus.WAITING_FOR_SUBTASK)
    _, fresh = await run.children()
    await fresh.answer(await fresh.wait_for_request(), message="x")
    await run.wait_for_end()
    assert [result["content"] for result in await run.results()] == ["x"]


async def test_a_reset_of_a_reset(engine: Engine) -> None:
    run = await run_two_turns(engine)
    for epoch in (1, 2, 3):
        await reset(run, 0)
        await run.answer(await run.wait_for_request(), message=f"answer {epoch}")
        await run.wait_for_end()
        assert await run.text() == f"answer {epoch}"


async def rows_of(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return every row of an execution."""
    found = {}
    async with run.engine.database.reading() as session:
        for table in ("executions", *OF_AN_EXECUTION):
            column = "id" if table == "executions" else "execution_id"
            query = text(f"SELECT * FROM {table} WHERE {column} = :id ORDER BY 1, 2")  # noqa: S608 - our own tables
            rows = await session.execute(query, {"id": run.id})
            found[table] = [dict(row._mapping) for row in rows]
    return found


OF_AN_EXECUTION = ("execution_events", "messages", "model_calls", "tool_calls", "input_requests")


async def refuse_reset(run: Run, task: int) -> BaseException:
    """Try a reset that is refused. Return the failure of the new run."""
    before = await rows_of(run)
    await ask_to_reset(run, task)
    with pytest.raises(WorkflowFailureError) as failure:
        await run.handle.result()
    assert await rows_of(run) == before
    return failure.value.cause


def message_of(failure: BaseException) -> str:
    """Return the message that Temporal shows."""
    assert isinstance(failure, ApplicationError)
    assert (failure.type, failure.non_retryable) == ("reset_refused", True)
    return failure.message


@pytest.mark.parametrize("task", [0, 1, 2])
async def test_a_reset_is_refused_after_the_session_continued(engine: Engine, task: int) -> None:
    run = await run_two_turns(engine)
    session_id = (await run.row()).session_id
    other = await engine.start(ASKING, ECHO, session_id=session_id, **TOOLS)
    request = await other.wait_for_request()
    before = await rows_of(other)

    message = message_of(await refuse_reset(run, task))

    assert f"execution {other.id}, which is waiting_for_user" in message
    async with engine.database.reading() as session:
        entries = await session.scalars(select(AuditRow).where(AuditRow.entity_id == run.id))
        [entry] = [e for e in entries if e.action == "execution.reset_refused"]
    assert entry.owner_id == engine.user_id
    assert entry.after == {"status": "completed", "reason": message}
    assert await rows_of(other) == before
    await other.answer(request, message="undisturbed")
    assert (await other.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await other.text() == "undisturbed"
    # Its messages follow in the transcript, so the first one can't continue from an earlier turn.
    message = message_of(await refuse_reset(run, task))
    assert f"execution {other.id}, which is completed" in message
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    # The last execution of a session can be reset as usual.
    await reset(other, 0)
    await other.answer(await other.wait_for_request(), message="again")
    assert (await other.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_an_execution_waits_while_its_session_is_reset(engine: Engine) -> None:
    run = await run_two_turns(engine)
    session_id = (await run.row()).session_id
    await reset(run, 0)
    other = await engine.start({"text": "next"}, session_id=session_id)
    assert (await other.row()).status == ExecutionStatus.BLOCKED
    await run.answer(await run.wait_for_request(), message="second")
    await run.wait_for_end()
    assert (await other.wait_for_end()).status == ExecutionStatus.COMPLETED


async def test_a_reset_repeats_a_call_that_runs(engine: Engine) -> None:
    """To a point after its start: Temporal starts the activity again, as it was scheduled."""
    gate = engine.gate()
    run = await engine.start({"text": "x", "gate": gate.name}, **TOOLS)
    await run.wait_for_model_call()
    tasks = len(await tasks_of(run))
    await run.wake()

    async def is_awake() -> bool:
        return len(await tasks_of(run)) > tasks

    await run.until(is_awake)
    await reset(run, -1)
    gate.open()
    assert (await run.wait_for_end()).status == ExecutionStatus.COMPLETED
    assert await run.text() == "x"


async def test_a_reset_before_continue_as_new_is_followed(short_lived_engine: Engine) -> None:
    """The run of the reset continues as new before it calls an activity."""
    run = await short_lived_engine.start(*[ASKING] * 4, ECHO, **TOOLS)
    request = await run.wait_for_request()
    first = (await run.row()).run_id
    await run.answer(request, message="old")
    await run.wait_until(lambda row: row.run_id != first)
    await run.wait_for_request()
    await ask_to_reset(run, -1, first)
    await run.wait_until(lambda row: row.epoch == 1)
    for number in range(3):
        await run.answer(await run.wait_for_request(), message=f"new {number}")
    row = await run.wait_for_end()
    assert (row.status, await run.text()) == (ExecutionStatus.COMPLETED, "new 2")
