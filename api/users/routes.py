"""The current user."""

from datetime import UTC, datetime

from fastapi import APIRouter, Response

from api.http.request_context import Call, Called
from api.http.responses import single
from api.links import BASE
from api.users.schemas import CredentialsRead, MeRead, QuotasRead, QuotaUsageRead
from domain.errors import NotFoundError
from persistence.identity import users
from persistence.ledger.quotas import load_usage
from services.quotas import effective_quotas

router = APIRouter(tags=["users"])


@router.get("/me", responses={200: {"model": MeRead}})
async def get_me(call: Called) -> Response:
    """Get the current user with their role, quotas and usage."""
    me = call.principal
    async with call.gateway.database.reading() as session:
        user = await users.find(session, me.user_id)
        if user is None:
            raise NotFoundError(f"User {me.user_id} does not exist.")
        used = await load_usage(session, me.user_id)
    allowed = effective_quotas(user, call.services.quotas.defaults)
    read = MeRead(
        id=me.user_id,
        subject=me.subject,
        role="admin" if me.is_admin else "user",
        created_at=user.created_at,
        credentials=_credentials(call),
        quotas=QuotasRead(
            max_concurrent_executions=allowed.max_concurrent_executions,
            max_usd_per_day=allowed.max_usd_per_day,
        ),
        usage=QuotaUsageRead(
            concurrent_executions=used.concurrent_executions, usd_today=used.usd_today
        ),
        links={"self": f"{BASE}/me", "api_keys": f"{BASE}/api-keys"},
    )
    return single(call.request, read)


def _credentials(call: Call) -> CredentialsRead:
    me = call.principal
    return CredentialsRead(
        kind="token" if me.api_key_id is None else "api_key",
        api_key_id=me.api_key_id,
        expires_at=None if me.expires_at is None else _time(me.expires_at),
        trigger_type=me.trigger_type,
    )


def _time(timestamp: float) -> datetime | None:
    """The expiry, or None if it is beyond the largest date."""
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return None
