"""Users and their API keys, from rows to what clients read."""

from datetime import UTC, datetime

from api.http.request_context import Call
from api.http.schemas import from_row
from api.users.schemas import (
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
from persistence.tables.ledger import UserRow
from services.identity.users import Profile


def render_me(call: Call, profile: Profile) -> MeRead:
    """Return the profile of the caller."""
    quotas, usage = profile.quotas, profile.usage
    return from_row(
        MeRead,
        profile.user,
        subject=call.principal.subject,
        role="admin" if call.principal.is_admin else "user",
        credentials=_render_credentials(call),
        quotas=from_row(QuotasRead, quotas),
        usage=from_row(QuotaUsageRead, usage),
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
