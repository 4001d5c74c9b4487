"""Secrets, from rows to what clients read."""

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from api.http.request_context import Call
from api.http.responses import answer, etag, to_json
from api.http.schemas import from_row
from api.secrets.schemas import SecretRead
from services.definitions.secrets import StoredSecret


async def respond_stored(_: Call, __: AsyncSession, secret: StoredSecret) -> Response:
    """Respond with 201 if the name is new, else with 204."""
    read = from_row(SecretRead, secret.row)
    headers = {"ETag": etag(to_json(read))}
    if not secret.is_new:
        return Response(status_code=204, headers=headers)
    return answer(read, 201, {**headers, "Location": read.links["self"]})
