"""Budgets of a tree of executions: what fits, what waits, and what a person raises.

The spending of an execution counts in its own budget and in those of all executions above it. A
path lists these accounts, the outermost first. A model call reserves its maximum cost in all of
them before it is made, and its actual cost replaces the reservation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Account:
    """The budget of one execution. Both sums include all executions below it.

    Without `limit_usd`, only the accounts above it limit the execution.
    """

    execution_id: UUID
    limit_usd: Decimal | None
    spent_usd: Decimal
    reserved_usd: Decimal

    def fits(self, usd: Decimal) -> bool:
        """Whether this much may be reserved now."""
        return self.limit_usd is None or self.spent_usd + self.reserved_usd + usd <= self.limit_usd

    def can_fit(self, usd: Decimal) -> bool:
        """Whether this much would fit if nothing was reserved."""
        return self.limit_usd is None or self.spent_usd + usd <= self.limit_usd


@dataclass(frozen=True, slots=True)
class Shortage:
    """A call of at most `needed_usd` does not fit into `account`, which has a limit.

    `is_temporary`: it would fit if no other call had a reservation.
    """

    account: Account
    needed_usd: Decimal
    is_temporary: bool

    @property
    def least_limit_usd(self) -> Decimal:
        """The lowest limit of the account with which the call can fit."""
        return self.account.spent_usd + self.needed_usd


def find_shortage(path: Sequence[Account], usd: Decimal) -> Shortage | None:
    """The outermost account into which a call does not fit; lasting shortages first."""
    lasting = next((account for account in path if not account.can_fit(usd)), None)
    if lasting is not None:
        return Shortage(lasting, usd, is_temporary=False)
    full = next((account for account in path if not account.fits(usd)), None)
    return None if full is None else Shortage(full, usd, is_temporary=True)


def compute_remaining_usd(path: Sequence[Account]) -> Decimal | None:
    """What is left in all of these accounts, apart from reservations; None without a limit."""
    left = [a.limit_usd - a.spent_usd for a in path if a.limit_usd is not None]
    return max(min(left), ZERO) if left else None


def raise_limits(
    path: Sequence[Account], limit_usd: Decimal, needed_usd: Decimal
) -> Mapping[UUID, Decimal]:
    """The new limits after a person raised the outermost account that is short to `limit_usd`.

    Accounts below it that are short too are raised by the same amount. No limit exceeds what is
    left of the accounts above it, and no limit is lowered.
    """
    shortage = find_shortage(path, needed_usd)
    if shortage is None or shortage.is_temporary or shortage.account.limit_usd is None:
        return {}
    more = limit_usd - shortage.account.limit_usd
    raised: dict[UUID, Decimal] = {}
    above: list[Account] = []
    for account in path:
        changed = account
        if account.limit_usd is not None and not account.can_fit(needed_usd):
            left = compute_remaining_usd(above)
            highest = account.limit_usd + more
            limit = highest if left is None else min(highest, account.spent_usd + left)
            if limit > account.limit_usd:
                raised[account.execution_id] = limit
                changed = replace(account, limit_usd=limit)
        above.append(changed)
    return raised


@dataclass(frozen=True, slots=True)
class Waiting:
    """An execution whose call of at most `needed_usd` does not fit into the accounts on its path.

    It waits for reservations, or, if `is_asking`, for a person to raise a budget.
    """

    execution_id: UUID
    path: Sequence[UUID]
    needed_usd: Decimal
    is_asking: bool = False


def choose_woken(accounts: Mapping[UUID, Account], waiting: Sequence[Waiting]) -> Sequence[UUID]:
    """The executions that can continue now, of those that wait, in the order of `waiting`.

    Each one that fits counts as reserved for those after it, so that as many are woken as fit. One
    that can never fit is woken too, unless it is asking: it asks for a higher budget, or fails.
    """
    now = dict(accounts)
    woken = []
    for execution in waiting:
        shortage = find_shortage([now[i] for i in execution.path], execution.needed_usd)
        if shortage is not None and (shortage.is_temporary or execution.is_asking):
            continue
        woken.append(execution.execution_id)
        if shortage is None:
            for i in execution.path:
                reserved = now[i].reserved_usd + execution.needed_usd
                now[i] = replace(now[i], reserved_usd=reserved)
    return woken
