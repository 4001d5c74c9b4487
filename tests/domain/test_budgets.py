"""Budgets: which account is short, what a raise changes, and who continues."""

from decimal import Decimal
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from domain.executions.budgets import (
    Account,
    Waiting,
    choose_woken,
    compute_remaining_usd,
    find_shortage,
    raise_limits,
)

ROOT, MIDDLE, LEAF = (UUID(int=n) for n in (1, 2, 3))


def account(number: UUID, limit: str | None, spent: str = "0", reserved: str = "0") -> Account:
    limit_usd = None if limit is None else Decimal(limit)
    return Account(number, limit_usd, Decimal(spent), Decimal(reserved))


def test_what_fits_exactly_fits() -> None:
    assert find_shortage([account(ROOT, "1", "0.5", "0.2")], Decimal("0.3")) is None
    assert find_shortage([account(ROOT, None, "9")], Decimal(5)) is None
    assert find_shortage([], Decimal(5)) is None


def test_a_shortage_is_temporary_if_reservations_alone_cause_it() -> None:
    short = find_shortage([account(ROOT, "1", "0.5", "0.2")], Decimal("0.31"))
    assert short is not None
    assert short.is_temporary
    short = find_shortage([account(ROOT, "1", "0.5", "0.2")], Decimal("0.51"))
    assert short is not None
    assert (short.is_temporary, short.least_limit_usd) == (False, Decimal("1.01"))


def test_a_lasting_shortage_below_comes_before_a_temporary_one_above() -> None:
    path = [account(ROOT, "1", "0", "0.9"), account(LEAF, "0.1")]
    short = find_shortage(path, Decimal("0.2"))
    assert short is not None
    assert (short.account.execution_id, short.is_temporary) == (LEAF, False)


def test_what_is_left_is_the_least_of_all() -> None:
    path = [account(ROOT, "1", "0.7", "0.3"), account(MIDDLE, None), account(LEAF, "0.5", "0.1")]
    assert compute_remaining_usd(path) == Decimal("0.3")
    assert compute_remaining_usd([account(ROOT, "1", "2")]) == 0
    assert compute_remaining_usd([account(ROOT, None)]) is None


def test_a_raise_lifts_all_that_are_short_by_the_same() -> None:
    path = [account(ROOT, "1", "0.95"), account(MIDDLE, None, "0.5"), account(LEAF, "0.5", "0.45")]
    raised = raise_limits(path, Decimal(2), Decimal("0.1"))
    assert raised == {ROOT: Decimal(2), LEAF: Decimal("1.5")}


def test_a_raise_below_is_limited_by_what_is_left_above() -> None:
    path = [account(ROOT, "1", "0.7"), account(LEAF, "0.5", "0.45")]
    assert raise_limits(path, Decimal(5), Decimal("0.1")) == {LEAF: Decimal("0.75")}


def test_a_raise_lowers_nothing_and_needs_a_shortage() -> None:
    assert raise_limits([account(ROOT, "1", "0.95")], Decimal("0.5"), Decimal("0.1")) == {}
    assert raise_limits([account(ROOT, "1")], Decimal(2), Decimal("0.1")) == {}
    assert raise_limits([account(ROOT, "1", "0", "1")], Decimal(2), Decimal("0.1")) == {}


def test_as_many_are_woken_as_fit_the_longest_waiting_first() -> None:
    accounts = {ROOT: account(ROOT, "1", "0.5", "0.2")}
    waiting = [Waiting(UUID(int=n), [ROOT], Decimal(usd)) for n, usd in enumerate(_NEEDED)]
    assert [i.int for i in choose_woken(accounts, waiting)] == [0, 2, 3]


def test_what_asks_is_woken_only_if_it_fits() -> None:
    accounts = {ROOT: account(ROOT, "1", "0.5", "0.2")}
    asking = [
        Waiting(UUID(int=n), [ROOT], Decimal(usd), is_asking=True) for n, usd in enumerate(_NEEDED)
    ]
    assert [i.int for i in choose_woken(accounts, asking)] == [0, 2]


_NEEDED = ("0.2", "0.2", "0.1", "0.6")
"""Fits; fits without the first; fits beside the first; can never fit, so it asks."""


@given(
    limit=st.integers(1, 20),
    spent=st.integers(0, 20),
    reserved=st.integers(0, 20),
    needed=st.lists(st.integers(1, 20), min_size=1, max_size=8),
)
def test_none_waits_when_nothing_is_reserved(
    limit: int, spent: int, reserved: int, needed: list[int]
) -> None:
    """An execution that is not woken waits for a reservation that is settled later."""
    accounts = {ROOT: Account(ROOT, Decimal(limit), Decimal(spent), Decimal(reserved))}
    waiting = [Waiting(UUID(int=n), [ROOT], Decimal(usd)) for n, usd in enumerate(needed)]
    woken = choose_woken(accounts, waiting)
    fitting = [w for w in waiting if w.execution_id in woken and spent + w.needed_usd <= limit]
    assert spent + reserved + sum(w.needed_usd for w in fitting) <= limit or not fitting
    if len(woken) < len(waiting):
        assert reserved > 0 or fitting
