"""The state machine of executions, walked at random."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from domain.states import ACTIVE, TERMINAL, TRANSITIONS, ExecutionStatus, may_move


class Execution(RuleBasedStateMachine):
    """Moves as the table allows, and remembers what must hold of any walk."""

    def __init__(self) -> None:
        super().__init__()
        self.status = ExecutionStatus.BLOCKED
        self.was_running = False
        self.ended_as: ExecutionStatus | None = None

    @rule(wanted=st.sampled_from(ExecutionStatus))
    def move(self, wanted: ExecutionStatus) -> None:
        if may_move(self.status, wanted):
            self.status = wanted
            self.was_running |= wanted is ExecutionStatus.RUNNING
            if wanted.is_terminal:
                self.ended_as = wanted

    @precondition(lambda self: not self.status.is_terminal)
    @rule()
    def anything_live_can_be_ended(self) -> None:
        assert may_move(self.status, ExecutionStatus.FAILED)
        assert may_move(self.status, ExecutionStatus.CANCELLED)

    @invariant()
    def terminal_states_never_change(self) -> None:
        if self.ended_as is not None:
            assert self.status is self.ended_as

    @invariant()
    def nothing_completes_without_having_run(self) -> None:
        if self.status is ExecutionStatus.COMPLETED:
            assert self.was_running


TestExecution = Execution.TestCase


def test_every_state_has_its_moves() -> None:
    assert TRANSITIONS.keys() == set(ExecutionStatus)
    assert all(not TRANSITIONS[state] for state in TERMINAL)
    assert ACTIVE.isdisjoint(TERMINAL)


@pytest.mark.parametrize("state", [*ACTIVE, ExecutionStatus.BLOCKED])
def test_nothing_moves_to_where_it_is(state: ExecutionStatus) -> None:
    assert not may_move(state, state)
