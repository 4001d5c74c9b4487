"""Users and their API keys as clients read them, and statistics for admins."""

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.http.paging import ResourceQuery, public_address
from api.http.request_context import Call
from api.http.schemas import Read, from_row
from persistence.db.paging import COUNTED
from persistence.identity.api_keys import NewKey
from persistence.ledger.stats import Stats
from persistence.tables.ledger import UserRow
from services.field_types import UsdOut
from services.identity.invitations import Invitation
from services.identity.users import Profile, Role


class QuotasRead(BaseModel):
    """The quotas of a user; null means no limit."""

    model_config = ConfigDict(frozen=True)

    max_concurrent_executions: int | None
    max_usd_per_day: UsdOut | None
    max_stored_bytes: int | None
    max_memory_entries: int | None


class QuotaUsageRead(BaseModel):
    """What counts against the quotas.

    These are executions in progress, of which at most 10,000 are counted, the cost of today (UTC),
    and stored bytes, which are those of some seconds ago: definitions as the database compresses
    them, artifacts, workspaces, memory.
    """

    model_config = ConfigDict(frozen=True)

    concurrent_executions: int
    usd_today: UsdOut
    stored_bytes: int
    definition_bytes: int
    artifact_bytes: int
    workspace_bytes: int
    memory_bytes: int
    memory_entries: int


class CredentialsRead(BaseModel):
    """The credentials of a request; `trigger_type` is that of the executions it starts."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["token", "api_key"]
    api_key_id: UUID | None
    expires_at: datetime | None
    trigger_type: str


class MeRead(Read):
    """The user of a request; `subject` is the token's `sub`."""

    paths = {"self": "/me", "api_keys": "/api-keys"}

    id: UUID
    subject: str
    role: str
    email: str | None = Field(description="The verified address in your latest token.")
    slack_user: str | None = Field(description="Your linked account of Slack: team and user.")
    created_at: datetime
    credentials: CredentialsRead
    quotas: QuotasRead
    usage: QuotaUsageRead


class ApiKeyRead(Read):
    """An API key; `prefix` is how it starts."""

    paths = {"self": "/api-keys/{id}"}

    id: UUID
    name: str
    prefix: str
    role: Role
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class ApiKeyCreated(ApiKeyRead):
    """A new key with its secret, which is null in the response to a repeated request."""

    secret: str | None


class UserRead(Read):
    """A user as admins see one. If a quota is null, the operator's default applies."""

    paths = {"self": "/admin/users/{id}"}

    id: UUID
    subject: str
    role: str
    is_disabled: bool
    disabled_at: datetime | None
    max_concurrent_executions: int | None
    max_usd_per_day: UsdOut | None
    max_stored_bytes: int | None
    max_memory_entries: int | None
    created_at: datetime


class UserInvited(UserRead):
    """A new user, with their API key and the URL of this gateway.

    Both are null in the response to a repeated request.
    """

    api_key: str | None
    api_url: str | None


class QueueRead(BaseModel):
    """Executions that wait for a worker."""

    model_config = ConfigDict(frozen=True)

    pending: int
    oldest_pending_seconds: float | None


class StatsRead(Read):
    """Statistics for admins; totals are exact up to `counted_to`.

    `executions` counts those that have not ended, by status; `executions_today` all of today.
    """

    paths = {"self": "/admin/stats", "users": "/admin/users"}

    users: int
    users_disabled: int
    tasks: int
    sessions: int
    counted_to: int
    executions: dict[str, int]
    executions_today: dict[str, int]
    cost_today_usd: UsdOut
    queue: QueueRead


def render_me(call: Call, profile: Profile) -> MeRead:
    """Return the profile of the caller."""
    quotas, usage, stored = profile.quotas, profile.usage, profile.stored
    return from_row(
        MeRead,
        profile.user,
        subject=call.principal.subject,
        role="admin" if call.principal.is_admin else "user",
        credentials=_render_credentials(call),
        quotas=from_row(QuotasRead, quotas),
        usage=QuotaUsageRead(
            concurrent_executions=usage.concurrent_executions,
            usd_today=usage.usd_today,
            stored_bytes=stored.stored_bytes,
            definition_bytes=stored.definition_bytes,
            artifact_bytes=stored.artifact_bytes,
            workspace_bytes=stored.workspace_bytes,
            memory_bytes=stored.memory_bytes,
            memory_entries=stored.memory_entries,
        ),
    )


def render_user(_: Call, row: UserRow) -> UserRead:
    """Return a user as admins read one."""
    return from_row(UserRead, row, is_disabled=row.disabled_at is not None)


def render_stats(stats: Stats) -> StatsRead:
    """Return statistics for admins."""
    oldest = stats.oldest_pending_at
    age = None if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds())
    return from_row(
        StatsRead,
        stats,
        counted_to=COUNTED,
        executions=dict(stats.active),
        executions_today=dict(stats.today),
        queue=QueueRead(pending=stats.active.get("pending", 0), oldest_pending_seconds=age),
    )


def reveal_api_key(_: Call, key: NewKey) -> dict[str, str]:
    """Return the secret, which only the response to the request that created the key contains."""
    return {"secret": key.secret}


def reveal_invitation(call: Call, invitation: Invitation) -> dict[str, str]:
    """Return what only the response to the request that created the user contains."""
    return {"api_key": invitation.key.secret, "api_url": public_address(call.request)}


def _render_credentials(call: Call) -> CredentialsRead:
    principal = call.principal
    return CredentialsRead(
        kind="token" if principal.api_key_id is None else "api_key",
        api_key_id=principal.api_key_id,
        expires_at=None if principal.expires_at is None else _parse_time(principal.expires_at),
        trigger_type=principal.trigger_type,
    )


def _parse_time(timestamp: float) -> datetime | None:
    """Return the time, or None if it is later than a `datetime` can be."""
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None


class UserQuery(ResourceQuery):
    """Filters of a list of users."""

    subject: Annotated[str | None, Field(max_length=255)] = None
    role: Role | None = None
    is_disabled: bool | None = None
