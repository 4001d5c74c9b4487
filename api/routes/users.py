"""Users: who I am."""

from fastapi import APIRouter, Response

from api.calls import Called
from api.responses import answer
from api.schemas.users import MeRead

router = APIRouter(tags=["users"])


@router.get("/me", responses={200: {"model": MeRead}})
async def get_me(call: Called) -> Response:
    """The user this request speaks for."""
    me = call.principal
    role = "admin" if me.is_admin else "user"
    return answer(
        MeRead(id=me.user_id, subject=me.subject, role=role, links={"self": "/api/v1/me"})
    )
