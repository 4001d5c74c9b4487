"""What changed since the previous scheduled run: what is compared, and how it is shown."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.executions.report_facts import FileVersion
from domain.ids import new_id
from persistence.db.database import Database
from persistence.reporting.source import select_previous_run
from persistence.tables.definitions import TaskRow
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from reports.difference import MAX_ITEMS, Change, compare_files, compare_lines, compare_values
from reports.model import ChangedItem, Difference, ReportContent
from reports.render import render
from tests.reports.conftest import stored_report
from tests.reports.execution_builder import start_execution
from tests.reports.html_page import read_page
from tests.reports.pdf_file import text_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)


def as_tuples(changes: Iterator[Change]) -> list[tuple[str, str, str, str | None, str | None]]:
    return [(kind, i.name, i.path, i.before, i.after) for kind, i in changes]


def test_objects_with_an_identity_are_compared_in_any_order() -> None:
    before = [{"id": 1, "state": "open"}, {"id": 2, "state": "open"}]
    after = [{"id": 3, "state": "open"}, {"id": 2, "state": "shut"}]
    assert as_tuples(compare_values(before, after)) == [
        ("new", "3", "", None, '{"id": 3, "state": "open"}'),
        ("changed", "2", "state", "open", "shut"),
        ("gone", "1", "", '{"id": 1, "state": "open"}', None),
    ]


@pytest.mark.parametrize("identity", ["id", "key", "name", "title", "url"])
def test_identities(identity: str) -> None:
    before, after = [{identity: "a", "n": 1}], [{identity: "b", "n": 1}, {identity: "a", "n": 1}]
    assert [(kind, name) for kind, name, *_ in as_tuples(compare_values(before, after))] == [
        ("new", "b")
    ]


def test_nested_values_are_named_by_the_nearest_identity() -> None:
    before = {"hosts": [{"name": "db", "disk": {"free": 10}, "tags": ["a", "b"]}]}
    after = {"hosts": [{"name": "db", "disk": {"free": 7}, "tags": ["b", "c"]}], "total": 1}
    assert as_tuples(compare_values(before, after)) == [
        ("changed", "db", "disk.free", "10", "7"),
        ("new", "db", "tags", None, "c"),
        ("gone", "db", "tags", "a", None),
        ("new", "total", "", None, "1"),
    ]


def test_a_repeated_value_is_no_identity() -> None:
    before = [{"id": 1, "n": 1}, {"id": 1, "n": 2}]
    assert as_tuples(compare_values(before, [{"id": 1, "n": 1}, {"id": 1, "n": 3}])) == [
        ("changed", "[1].n", "", "2", "3")
    ]


def test_values_of_different_types_are_changed_as_a_whole() -> None:
    assert as_tuples(compare_values({"a": [1]}, {"a": {"b": 1}})) == [
        ("changed", "a", "", "[1]", '{"b": 1}')
    ]
    assert as_tuples(compare_values(1, True)) == [("changed", "result", "", "1", "true")]


def test_deep_values_are_compared_as_a_whole() -> None:
    deep: Any = 1
    other: Any = 2
    for _ in range(300):
        deep, other = {"a": deep}, {"a": other}
    [(kind, *_)] = as_tuples(compare_values(deep, other))
    assert kind == "changed"


@given(JSON)
def test_equal_values_have_no_changes(value: Any) -> None:
    assert as_tuples(compare_values(value, value)) == []


@given(JSON, JSON)
def test_any_two_results_can_be_compared(before: Any, after: Any) -> None:
    there, back = as_tuples(compare_values(before, after)), as_tuples(compare_values(after, before))
    assert bool(there) == bool(back) == (not are_equal(before, after))
    assert len(there) == len(back)


def are_equal(before: Any, after: Any) -> bool:
    """Whether they are equal as JSON, if the order of plain values does not matter."""
    return not as_tuples(compare_values(before, after))


def test_lines() -> None:
    before = "# Hosts\n\n- db is up\n- web is up\n- mail is up\n"
    after = "# Hosts\n- db is up  \n- web is DOWN\n- mail is up\n- cache is up"
    assert as_tuples(compare_lines(before, after)) == [
        ("changed", "", "", "- web is up", "- web is DOWN"),
        ("new", "", "", None, "- cache is up"),
    ]


def test_long_texts_are_compared_quickly() -> None:
    texts = ["\n".join(f"{seed} {i % 7}" for i in range(5_000)) for seed in ("a", "b")]
    began = time.process_time()
    assert len(as_tuples(compare_lines(*texts))) == 2_000
    assert len(as_tuples(compare_lines("x\n" * 5_000, "x\n\n" * 2_500 + "y\n" * 2_500))) == 0
    assert time.process_time() - began < 3


def test_files() -> None:
    def kept(name: str, sha: str) -> FileVersion:
        return FileVersion(name, sha * 64, 1_000)

    before = [kept("a", "1"), kept("b", "1"), kept("b", "2"), kept("c", "3")]
    after = [kept("b", "2"), kept("c", "4"), kept("d", "1")]
    assert [(kind, item.name) for kind, item in compare_files(before, after)] == [
        ("changed", "c"),
        ("new", "d"),
        ("gone", "a"),
    ]


async def create_task(session: AsyncSession) -> tuple[UUID, UUID]:
    user = UserRow(subject=f"alice-{new_id().hex[-6:]}", role="user")
    session.add(user)
    await session.flush()
    task = TaskRow(
        user_id=user.id,
        name="nightly",
        version=1,
        is_public=False,
        is_active=True,
        is_scheduled=True,
        schedule_cron="0 3 * * *",
        schedule_timezone="UTC",
        schedule_enabled=True,
        schedule_overlap_policy="skip",
    )
    session.add(task)
    await session.flush()
    return user.id, task.id


async def run_task(
    database: Database,
    task: tuple[UUID, UUID],
    result: dict[str, Any],
    *,
    files: Sequence[str] = (),
    status: str = "completed",
    **facts: Any,
) -> tuple[UUID, dict[str, Any]]:
    """Run the task to its end; the id of the execution and the content of its report."""
    user_id, task_id = task
    facts = {"trigger_type": "scheduled", "task_id": task_id, **facts}
    async with database.transaction() as session:
        builder = await start_execution(session, user_id=user_id, **facts)
        await builder.add_user_message("Go.")
        await builder.add_tool_turn({"name": "save_artifact", "input": {"path": "x"}})
        for name in files:
            await builder.add_file(name, 10, sha256=f"{len(files)}" * 64)
        await builder.add_answer(str(result.get("text", "Done.")))
        builder.row.result_data = result
    report = await stored_report(database, builder.row.id)
    assert report is not None
    async with database.transaction() as session:
        row = await session.get_one(ExecutionRow, builder.row.id)
        row.status, row.completed_at = status, datetime.now(UTC)
    return builder.row.id, report.content


@pytest.fixture
async def task(database: Database) -> tuple[UUID, UUID]:
    async with database.transaction() as session:
        return await create_task(session)


async def test_a_run_is_compared_with_the_previous_scheduled_run(
    database: Database, task: tuple[UUID, UUID]
) -> None:
    items = [{"id": "CVE-1", "severity": "high"}]
    first, content = await run_task(
        database, task, {"text": "a", "output": items}, files=["list.md"]
    )
    assert content["difference"] is None
    await run_task(database, task, {"text": "b", "output": []}, trigger_type="manual")
    await run_task(database, task, {"text": "c", "output": []}, status="failed")
    items = [{"id": "CVE-1", "severity": "low"}, {"id": "CVE-2", "severity": "high"}]
    _, content = await run_task(
        database, task, {"text": "d", "output": items}, files=["list.md", "b.md"]
    )
    difference = TypeAdapter(Difference).validate_python(content["difference"])
    assert difference.execution_id == first
    assert difference.report_id is not None
    assert difference.of == "items"
    assert difference.result.changed == (
        ChangedItem(name="CVE-1", path="severity", before="high", after="low"),
    )
    assert [item.name for item in difference.result.new] == ["CVE-2"]
    assert [item.name for item in difference.files.new] == ["b.md"]
    assert [item.name for item in difference.files.changed] == ["list.md"]
    for page in render_all(content):
        assert "Since the last scheduled run" in page
        assert "CVE-2" in page
        assert "severity" in page


def render_all(content: dict[str, Any]) -> Iterator[str]:
    yield "".join(read_page(render(content, "html")).text)
    yield render(content, "markdown").decode()
    yield text_of(render(content, "pdf"))


async def test_nothing_changed(database: Database, task: tuple[UUID, UUID]) -> None:
    for _ in range(2):
        _, content = await run_task(database, task, {"text": "All is well."}, files=["a.md"])
    assert TypeAdapter(Difference).validate_python(content["difference"]).is_empty
    assert all("Nothing changed." in text for text in render_all(content))


async def test_texts_are_compared_by_lines(database: Database, task: tuple[UUID, UUID]) -> None:
    await run_task(database, task, {"text": "a\nb"})
    _, content = await run_task(database, task, {"text": "a\nc"})
    assert content["difference"]["of"] == "lines"
    assert content["difference"]["result"]["changed"][0]["after"] == "c"
    assert all("changed" in text for text in render_all(content))


async def test_results_that_cannot_be_compared(database: Database, task: tuple[UUID, UUID]) -> None:
    await run_task(database, task, {"text": ""})
    _, content = await run_task(database, task, {"text": "a"})
    assert content["difference"]["of"] == "nothing"
    assert all("be compared" in text for text in render_all(content))


async def test_a_failed_run_is_not_compared(database: Database, task: tuple[UUID, UUID]) -> None:
    await run_task(database, task, {"text": "a"})
    _, content = await run_task(database, task, {"text": "b"}, error_code="max_turns")
    assert content["difference"] is None


async def test_the_number_of_changes_is_limited(
    database: Database, task: tuple[UUID, UUID]
) -> None:
    await run_task(database, task, {"text": "", "output": []})
    items = [{"id": n, "text": "x" * 10_000} for n in range(500)]
    _, content = await run_task(database, task, {"text": "", "output": items})
    difference = ReportContent.model_validate(content).difference
    assert difference is not None
    assert len(difference.result.new) == MAX_ITEMS
    assert difference.result.left_out == 500 - MAX_ITEMS
    assert all(
        f"{500 - MAX_ITEMS} more differences are left out" in page for page in render_all(content)
    )


async def test_the_previous_run_is_found_by_index(
    database: Database, task: tuple[UUID, UUID]
) -> None:
    execution_id, _ = await run_task(database, task, {"text": "a"})
    async with database.transaction() as session:
        await session.execute(text(MANY_RUNS), {"id": execution_id})
        await session.execute(text("ANALYZE executions"))
        statement = select_previous_run(task[1], new_id())
        bind = session.get_bind()
        compiled = statement.compile(bind, compile_kwargs={"literal_binds": True})
        plan = await session.scalars(text(f"EXPLAIN {compiled}"))
        assert "ix_executions_task_id_scheduled" in "\n".join(plan)


MANY_RUNS = """
INSERT INTO executions (
    id, user_id, task_id, title, executor, depth, trigger_type, trigger_metadata,
    prompt_variables, missing_variables, status, priority, workflow_id, created_at
)
SELECT gen_random_uuid(), e.user_id, e.task_id, e.title, e.executor, 0, 'manual', '{}',
    '{}', '[]', 'completed', 5, 'execution-' || n, now()
FROM executions e, generate_series(1, 3000) n WHERE e.id = :id
"""
"""Runs of one task that a person started."""
