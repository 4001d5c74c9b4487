"""The states of an execution, and which of them can follow each other."""

import itertools

import pytest

from domain.errors import ConflictError
from domain.executions.states import (
    ACTIVE,
    TERMINAL,
    TRANSITIONS,
    ExecutionStatus,
    may_move,
    require_transition,
    states_before,
)
from persistence.tables.executions import ACTIVE_STATUSES

S = ExecutionStatus
LIVE = [S.RUNNING, S.WAITING_FOR_USER, S.WAITING_FOR_SUBTASK, S.PAUSED]


def test_every_state_has_its_moves() -> None:
    assert TRANSITIONS.keys() == set(S)
    assert {S.COMPLETED, S.FAILED, S.CANCELLED} == TERMINAL
    assert [s for s in S if s.is_terminal] == [s for s in S if s in TERMINAL]


@pytest.mark.parametrize(("before", "after"), list(itertools.permutations(S, 2)))
def test_moves(before: S, after: S) -> None:
    allowed = {
        *((s, t) for s in S if s not in TERMINAL for t in (S.CANCELLED, S.FAILED)),
        *itertools.permutations(LIVE, 2),
        (S.BLOCKED, S.PENDING),
        (S.PENDING, S.RUNNING),
        (S.RUNNING, S.PENDING),
        (S.RUNNING, S.BLOCKED),
        (S.RUNNING, S.COMPLETED),
    }
    assert may_move(before, after) == ((before, after) in allowed)


def test_a_transition_that_is_not_in_the_table_is_refused() -> None:
    assert states_before(S.COMPLETED) == {S.RUNNING}
    require_transition(S.RUNNING, S.COMPLETED)
    with pytest.raises(ConflictError, match="An execution that is paused can't become completed"):
        require_transition(S.PAUSED, S.COMPLETED)


def test_no_state_moves_to_itself() -> None:
    assert not any(may_move(status, status) for status in S)


def test_the_database_means_the_same_by_active() -> None:
    assert set(ACTIVE_STATUSES.strip("()").replace("'", "").split(", ")) == {*ACTIVE}
