"""Schemas of users are evaluated in another process, in linear time or within its limits."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psutil
import pytest

from domain.errors import RateLimitedError
from domain.ids import new_id
from runtime import schema_evaluation
from runtime.schema_evaluation import IsolatedEvaluator

LINKS = 40
MULTIPLYING: dict[str, Any] = {
    "$defs": {
        **{f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(LINKS)},
        f"a{LINKS}": {"type": ["string", "integer"]},
    },
    "$ref": "#/$defs/a0",
}
"""Each reference doubles the work: years."""


@pytest.fixture
async def schemas() -> AsyncIterator[IsolatedEvaluator]:
    evaluator = IsolatedEvaluator(is_metered=True)
    yield evaluator
    await evaluator.close()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if _evaluates(child)]


def _evaluates(process: psutil.Process) -> bool:
    try:
        is_alive = process.status() != psutil.STATUS_ZOMBIE
        return is_alive and "runtime.schema_process" in process.cmdline()
    except psutil.NoSuchProcess:  # it has ended since it was listed
        return False


@pytest.mark.parametrize(
    ("schema", "value", "path"),
    [
        ({"type": "integer"}, 1, None),
        ({"type": "integer"}, "x", ()),
        ({"properties": {"a": {"maxLength": 3}}}, {"a": "Adam"}, ("a",)),
        ({"items": {"type": "integer"}}, [1, "x"], (1,)),
        ({"pattern": "^[a-z]+[0-9]{2,3}$"}, "abc12", None),
        ({"pattern": r"^\d{4}-\d\d$"}, "2026-11", None),
        ({"pattern": "b"}, "abc", None),  # not anchored
        ({"enum": [{"a": [1, None]}]}, {"a": [1, None]}, None),
        ({"type": "integer"}, 10**30, None),
        ({"$ref": "#"}, 1, None),
        (MULTIPLYING | {"$ref": f"#/$defs/a{LINKS}"}, 1, None),
        ({"format": "email"}, "x", None),
    ],
)
async def test_values_are_checked(
    schemas: IsolatedEvaluator,
    schema: dict[str, Any],
    value: Any,
    path: tuple[str | int, ...] | None,
) -> None:
    user = new_id()
    assert await schemas.schema_problems(user, schema) == []
    problems = await schemas.value_problems(user, schema, value)
    assert [problem.path for problem in problems] == ([] if path is None else [path])


@pytest.mark.parametrize(
    ("schema", "path", "words"),
    [
        ({"type": "objekt"}, ("type",), "objekt"),
        ({"pattern": "("}, ("pattern",), "linear time"),
        ({"pattern": "(?=a)b"}, ("pattern",), "look-around"),
        ({"items": {"pattern": r"(a)\1"}}, ("items", "pattern"), "back references"),
        ({"patternProperties": {"(?!x)": {}}}, ("patternProperties", "(?!x)"), "look-around"),
        ({"pattern": "(a{1000}){1000}"}, ("pattern",), "large repetitions"),
        ({"$ref": "http://127.0.0.1:9/x"}, (), "copy it into the schema"),
        ({"$ref": "file:///etc/passwd"}, (), "copy it into the schema"),
        ({"$ref": "#/nowhere"}, (), "nowhere"),
        ({"description": "x" * 300_000}, (), "256 KiB"),
    ],
)
async def test_a_schema_that_can_not_be_used_is_refused_with_a_reason(
    schemas: IsolatedEvaluator, schema: dict[str, Any], path: tuple[str, ...], words: str
) -> None:
    [problem] = await schemas.schema_problems(new_id(), schema)
    assert problem.path == path
    assert words in problem.msg


@pytest.mark.parametrize(
    "pattern", ["^(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(a*)*b", "^(([a-z])+.)+$"]
)
async def test_patterns_take_linear_time(schemas: IsolatedEvaluator, pattern: str) -> None:
    schema = {"properties": {"a": {"pattern": pattern}}}
    problems = await schemas.value_problems(new_id(), schema, {"a": "a" * 200_000 + "!"})
    assert all("does not match" in problem.msg for problem in problems)


@pytest.fixture
def no_earnings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users who waited long on a busy machine would have earned another evaluation."""
    monkeypatch.setattr(schema_evaluation, "_EARNED_PER_SECOND", 1e-6)


@pytest.mark.usefixtures("no_earnings")
async def test_what_multiplies_is_ended_and_others_are_served(schemas: IsolatedEvaluator) -> None:
    user, other = new_id(), new_id()
    hostile = [schemas.value_problems(user, MULTIPLYING, 1) for _ in range(6)]
    running = [asyncio.ensure_future(each) for each in hostile]
    assert await schemas.value_problems(other, {"type": "integer"}, 1) == []
    outcomes = await asyncio.gather(*running, return_exceptions=True)
    ended = [o for o in outcomes if not isinstance(o, BaseException)]
    refused = [o for o in outcomes if isinstance(o, RateLimitedError)]
    assert (len(ended), len(refused)) == (1, 5)  # the others don't wait for expensive ones
    assert all("simplify" in problem.msg for [problem] in ended)
    assert refused[0].retry_after_seconds > 1
    assert len(await schemas.value_problems(user, MULTIPLYING, 1)) == 1
    with pytest.raises(RateLimitedError):
        await schemas.schema_problems(user, {})


async def test_many_cheap_evaluations_wait_for_each_other(schemas: IsolatedEvaluator) -> None:
    user = new_id()
    each = (schemas.value_problems(user, {"type": "integer"}, n) for n in range(50))
    assert await asyncio.gather(*each) == [[]] * 50


async def test_memory_is_limited(schemas: IsolatedEvaluator) -> None:
    big = {"enum": [["x" * 1000] * 100]}
    value = [["y" * 1000] * 100] * 90
    deep = {"allOf": [{"items": big, "contains": big, "uniqueItems": True}] * 200}
    await schemas.value_problems(new_id(), deep, value)
    assert await schemas.value_problems(new_id(), {"type": "integer"}, "x") != []


async def test_a_cancelled_evaluation_leaves_no_answer_behind(schemas: IsolatedEvaluator) -> None:
    task = asyncio.ensure_future(schemas.value_problems(new_id(), MULTIPLYING, 1))
    while not children():  # noqa: ASYNC110 - another process sets no event
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.wait([task])
    assert await schemas.value_problems(new_id(), {"type": "integer"}, 1) == []


async def test_the_process_ends_when_it_is_idle(
    schemas: IsolatedEvaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_evaluation, "_IDLE_SECONDS", 0.01)
    await schemas.schema_problems(new_id(), {})
    while children():  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.005)
    assert await schemas.schema_problems(new_id(), {}) == []


async def test_a_killed_process_is_replaced(schemas: IsolatedEvaluator) -> None:
    await schemas.schema_problems(new_id(), {})
    [child] = children()
    child.kill()
    child.wait()
    await schemas.schema_problems(new_id(), {})
    assert await schemas.schema_problems(new_id(), {"type": "x"}) != []
