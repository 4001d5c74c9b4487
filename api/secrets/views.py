"""Secrets, from rows to what clients read."""

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api import links
from api.http.rendering import from_row
from api.http.request_context import Call
from api.http.responses import answer, etag, to_json
from api.secrets.schemas import SecretRead
from persistence.tables.secrets import SecretRow
from services.definitions.secrets import StoredSecret


def render_secret(_: Call, row: SecretRow) -> SecretRead:
    """Return a secret as clients read it."""
    return from_row(SecretRead, row, links={"self": f"{links.BASE}/secrets/{row.name}"})


async def respond_stored(call: Call, _: AsyncSession, secret: StoredSecret) -> Response:
    """Respond with 201 if the name is new, else with 204."""
    read = render_secret(call, secret.row)
    headers = {"ETag": etag(to_json(read))}
    if not secret.is_new:
        return Response(status_code=204, headers=headers)
    return answer(read, 201, {**headers, "Location": read.links["self"]})
