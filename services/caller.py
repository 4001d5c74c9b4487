"""Who calls a service, and what they may read and change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar
from uuid import UUID

from domain.errors import NotFoundError, PerdureError, PermissionDeniedError
from domain.people.requests import GROUP
from persistence.ledger.audit import ENGINE, Actor


class Owned(Protocol):
    """What belongs to a user."""

    @property
    def user_id(self) -> UUID:
        """Its owner."""


Q = TypeVar("Q", bound=Owned)


def missing(what: str, key: object) -> NotFoundError:
    """The error for what does not exist."""
    return NotFoundError(f"{what[0].upper()}{what[1:]} {key} does not exist.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The user on whose behalf a service runs.

    `api_key_id` is set if the request came with an API key. `trigger_type` is that of the
    executions the caller starts. `groups` are the names of the user's groups, `scopes` what the
    credentials allow beyond the user's rights (`domain.scopes`). `actor` goes into the audit log;
    its user is empty if a hook or the engine acts for the user. For an agent's tool (`is_agent`),
    what belongs to another user does not exist.
    """

    user_id: UUID
    subject: str
    actor: Actor
    is_admin: bool = False
    api_key_id: UUID | None = None
    trigger_type: str = "manual"
    is_agent: bool = False
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()

    @classmethod
    def engine(cls) -> Self:
        """Perdure itself: it owns nothing, and the audit log names no actor."""
        return cls(user_id=UUID(int=0), subject="engine", actor=ENGINE)

    def owns(self, owner_id: UUID) -> bool:
        """Whether the caller may change what this user owns. Admins may change everything."""
        return owner_id == self.user_id or self.is_admin

    @property
    def assignees(self) -> Sequence[str]:
        """The names to which an input request is assigned that the caller may answer."""
        return [self.subject, *(f"{GROUP}{name}" for name in sorted(self.groups))]

    @property
    def reader_id(self) -> UUID | None:
        """The user whose rows the caller may read; None for an admin, who may read all rows."""
        return None if self.is_admin else self.user_id

    def require_own(self, owner_id: UUID, what: str, key: object) -> None:
        """Refuse access to what another user owns; `key` is its id."""
        if not self.owns(owner_id):
            raise self.not_owned(what, key)

    def not_owned(self, what: str, key: object) -> PerdureError:
        """The error for what belongs to another user."""
        if self.is_agent:
            return missing(what, key)
        return PermissionDeniedError(f"This {what} belongs to another user.")

    def own(self, row: Q | None, what: str, key: object) -> Q:
        """Return a row that the caller may change; refuse others, and one that does not exist."""
        if row is None:
            raise missing(what, key)
        self.require_own(row.user_id, what, key)
        return row

    def require_admin(self) -> None:
        """Refuse a caller without the role admin."""
        if not self.is_admin:
            raise PermissionDeniedError("This operation requires the admin role.")
