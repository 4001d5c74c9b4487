"""Users, as clients see them."""

from uuid import UUID

from api.schemas.values import Read


class MeRead(Read):
    """The user a request speaks for; `subject` is the token's `sub`."""

    id: UUID
    subject: str
    role: str
