"""Pages of groups of people."""

from fastapi import APIRouter

from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages, ResourceStore
from api.web.page_route import PageRoute
from domain.people.requests import GROUP
from persistence.tables.people import GroupRow
from reports.phrases import count_of
from services.identity.groups import GROUPS, GroupCreate, GroupUpdate

router = APIRouter(include_in_schema=False, route_class=PageRoute)


def _facts(row: GroupRow) -> list[str]:
    hours = row.working_hours
    shown = [f"{hours['start']} to {hours['end']}, {hours['time_zone']}"] if hours else []
    return [f"{GROUP}{row.name}", count_of(len(row.members), "member"), *shown]


GROUP_PAGES = DefinitionPages(
    path="/groups",
    texts={
        "title": "Groups",
        "noun": "group",
        "lead": "People who answer requests together. Assign a request to a group, and the first "
        "member who answers it decides. Admins define groups.",
        "empty": "Without groups, each request is assigned to one person, or to the owner of the "
        "execution.",
        "delete": "Possible while no open request and no task names it.",
    },
    store=ResourceStore(GROUPS, GroupCreate, GroupUpdate),
    model=GroupCreate,
    sections=(
        Section(
            "",
            (
                Field(
                    "name",
                    hint="Lowercase letters, digits, dots, - and _. Requests name it as "
                    "group:NAME, so it can't be changed later.",
                    is_short=True,
                ),
                Field("description"),
                Field("members", hint="Users by the name that they sign in with."),
                Field(
                    "working_hours",
                    hint="Due times and reminders count only this time. "
                    "Leave all fields empty for the whole week.",
                ),
            ),
        ),
    ),
    read_row=GROUPS.body_fields,
    facts=_facts,
    list_rows=GROUPS.page,
    key="group_id",
    for_admins=True,
)


GROUP_PAGES.add_to(router)
