"""Users and their API keys, from rows to what clients read."""

from datetime import UTC, datetime

from api.http.rendering import from_row
from api.http.request_context import Call
from api.links import BASE
from api.users.schemas import (
    ApiKeyCreated,
    ApiKeyRead,
    CredentialsRead,
    MeRead,
    QueueRead,
    QuotasRead,
    QuotaUsageRead,
    StatsRead,
    UserRead,
)
from persistence.db.paging import COUNTED
from persistence.identity.api_keys import NewKey
from persistence.ledger.stats import Stats
from persistence.tables.api_keys import ApiKeyRow
from persistence.tables.users import UserRow
from services.identity.users import Profile


def render_me(call: Call, profile: Profile) -> MeRead:
    """Return the profile of the caller."""
    quotas, usage = profile.quotas, profile.usage
    return MeRead(
        id=profile.user.id,
        subject=call.principal.subject,
        role="admin" if call.principal.is_admin else "user",
        created_at=profile.user.created_at,
        credentials=_render_credentials(call),
        quotas=from_row(QuotasRead, quotas),
        usage=from_row(QuotaUsageRead, usage),
        links={"self": f"{BASE}/me", "api_keys": f"{BASE}/api-keys"},
    )


def render_user(_: Call, row: UserRow) -> UserRead:
    """Return a user as admins read one."""
    links = {"self": f"{BASE}/admin/users/{row.id}"}
    return from_row(UserRead, row, is_disabled=row.disabled_at is not None, links=links)


def render_stats(stats: Stats) -> StatsRead:
    """Return statistics for admins."""
    oldest = stats.oldest_pending_at
    age = None if oldest is None else max(0.0, (datetime.now(UTC) - oldest).total_seconds())
    return StatsRead(
        users=stats.users,
        users_disabled=stats.users_disabled,
        tasks=stats.tasks,
        sessions=stats.sessions,
        counted_to=COUNTED,
        executions=dict(stats.active),
        executions_today=dict(stats.today),
        cost_today_usd=stats.cost_today_usd,
        queue=QueueRead(pending=stats.active.get("pending", 0), oldest_pending_seconds=age),
        links={"self": f"{BASE}/admin/stats", "users": f"{BASE}/admin/users"},
    )


def render_api_key(_: Call, row: ApiKeyRow) -> ApiKeyRead:
    """Return a key as its owner reads it, without its secret."""
    return from_row(ApiKeyRead, row, links={"self": f"{BASE}/api-keys/{row.id}"})


def render_new_api_key(call: Call, key: NewKey) -> ApiKeyRead:
    """Return a new key without its secret."""
    return render_api_key(call, key.row)


def reveal_api_key(_: Call, key: NewKey, read: ApiKeyRead) -> ApiKeyCreated:
    """Add the secret, which only the response to the request that created the key contains."""
    return ApiKeyCreated(**dict(read), secret=key.secret)


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
