"""Saved views of the inbox: filters that a user has stored under a name."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from domain.errors import ConflictError
from domain.people.requests import VIEW_NAME, RequestKind
from persistence.executions import inbox_views
from persistence.identity import users
from persistence.tables.people import InboxViewRow
from services.definitions.resources import PrivateResource
from services.field_types import Body
from services.unit_of_work import UnitOfWork

MOST_VIEWS = 12
"""Of one user: as many as fit above a list (chosen)."""

ViewName = Annotated[str, Field(min_length=1, max_length=40, pattern=VIEW_NAME)]


class InboxViewPut(Body):
    """The filters of a view; without any, it shows all open requests."""

    status: Literal["open", "answered", "expired", "cancelled"] = "open"
    kind: RequestKind | None = None
    assignee: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class InboxViews(PrivateResource[InboxViewRow]):
    """The declaration of views. The key is the name; other users' names are not visible."""

    entity, noun = "inbox_view", "view"
    table = InboxViewRow

    def audited_fields(self, row: InboxViewRow) -> Mapping[str, Any]:
        """Return the name and the filters."""
        return {"name": row.name, "filters": row.filters}


INBOX_VIEWS = InboxViews()


async def put_view(work: UnitOfWork, name: str, body: InboxViewPut) -> InboxViewRow:
    """Save a view of the caller, or replace the one of this name.

    Raises:
        ConflictError: there are too many.
    """
    await users.find(work.session, work.caller.user_id, lock=True)  # others may add a view, too
    known = await inbox_views.list_all(work.session, work.caller.user_id)
    if len(known) >= MOST_VIEWS and name not in {view.name for view in known}:
        raise ConflictError(f"You can save {MOST_VIEWS} views; delete one first.")
    filters = body.model_dump(mode="json", exclude_none=True)
    row = await inbox_views.put(work.session, work.caller.user_id, name, filters)
    action = "inbox_view.create" if row.is_new else "inbox_view.update"
    await work.record_audit(action, ("inbox_view", row.id), after=INBOX_VIEWS.audited_fields(row))
    return row
