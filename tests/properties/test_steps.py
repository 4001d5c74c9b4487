"""Steps add up: what is listed in order, of the rest the later one counts."""

from dataclasses import fields
from typing import Any

import hypothesis.strategies as st
from hypothesis import given

from domain.errors import ErrorCode
from domain.executions.events import Event
from domain.executions.states import ExecutionStatus
from domain.executions.steps import CallOutcome, CallStatus, Failure, StatusChange, Step
from domain.ids import new_id

OUTCOMES = st.builds(CallOutcome, id=st.builds(new_id), status=st.sampled_from(CallStatus))
STEPS = st.builds(
    Step,
    call_outcome=st.none() | OUTCOMES,
    events=st.lists(st.builds(Event, st.text(max_size=3))),
    consumed=st.lists(st.builds(new_id), max_size=3),
    status=st.none() | st.builds(StatusChange, st.sampled_from(ExecutionStatus)),
    result=st.none() | st.dictionaries(st.text(max_size=2), st.integers()),
    failure=st.none() | st.builds(Failure, st.sampled_from(ErrorCode), st.text(max_size=3)),
)


def same(one: Step, other: Step) -> bool:
    """Equal, whether their lists are lists or tuples."""
    return all(_plain(getattr(one, f.name)) == _plain(getattr(other, f.name)) for f in fields(Step))


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


@given(STEPS)
def test_nothing_changes_nothing(step: Step) -> None:
    assert same(step + Step(), step)
    assert same(Step() + step, step)


@given(STEPS, STEPS, STEPS)
def test_it_does_not_matter_which_are_added_first(a: Step, b: Step, c: Step) -> None:
    assert same((a + b) + c, a + (b + c))


@given(STEPS, STEPS)
def test_lists_add_up_and_the_later_counts(a: Step, b: Step) -> None:
    total = a + b
    assert list(total.events) == [*a.events, *b.events]
    assert list(total.consumed) == [*a.consumed, *b.consumed]
    assert total.status == (a.status if b.status is None else b.status)
    assert total.failure == (a.failure if b.failure is None else b.failure)
    assert total.result == (a.result if b.result is None else b.result)
