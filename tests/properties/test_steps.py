"""Adding up the parts of a step: nothing is lost, order is kept, the later fact counts."""

from hypothesis import given
from hypothesis import strategies as st

from domain.events import Event
from domain.ids import new_id
from domain.states import ExecutionStatus
from domain.steps import StatusChange, Step

EVENTS = st.lists(st.builds(Event, st.text(min_size=1)), max_size=4)
STEPS = st.builds(
    Step,
    events=EVENTS,
    consumed=st.lists(st.builds(new_id), max_size=3),
    status=st.none() | st.builds(StatusChange, st.sampled_from(ExecutionStatus)),
)


@given(STEPS, STEPS, STEPS)
def test_adding_is_associative_and_loses_nothing(a: Step, b: Step, c: Step) -> None:
    whole = a + b + c

    assert whole == a + (b + c)
    assert [*whole.events] == [*a.events, *b.events, *c.events]
    assert [*whole.consumed] == [*a.consumed, *b.consumed, *c.consumed]
    assert whole.status == next((s.status for s in (c, b, a) if s.status is not None), None)


@given(STEPS)
def test_an_empty_step_adds_nothing(step: Step) -> None:
    assert (step + Step()).events == tuple(step.events)
    assert (Step() + step).status == step.status
