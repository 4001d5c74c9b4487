"""Pages of secrets."""

from typing import Any

from fastapi import APIRouter

from api.web.definitions.forms import Field, Section
from api.web.definitions.resource_pages import DefinitionPages, ResourceStore
from api.web.page_forms import make_body
from api.web.page_route import PageRoute
from domain.errors import DuplicateNameError
from persistence.definitions import secrets
from persistence.tables.definitions import SecretRow
from services.definitions.inputs import (
    SecretName,
    SecretPut,
)
from services.definitions.secrets import SECRETS, put_secret
from services.unit_of_work import Precondition, UnitOfWork

router = APIRouter(include_in_schema=False, route_class=PageRoute)


class SecretForm(SecretPut):
    """A secret with its name, which the API has in its path."""

    name: SecretName


class SecretStore(ResourceStore):
    """Stores forms of secrets: a form always has the whole secret."""

    async def create(self, work: UnitOfWork, members: dict[str, Any]) -> SecretRow:
        """Store a new secret (`DefinitionStore.create`).

        Raises:
            DuplicateNameError: there is one with this name, whose value would be lost.
        """
        body = make_body(SecretForm, members)
        if await secrets.find(work.session, work.caller.user_id, body.name) is not None:
            raise DuplicateNameError("You have a secret with this name; open it to replace it.")
        stored = await put_secret(work, body.name, body)
        return stored.row

    async def update(
        self, work: UnitOfWork, key: Any, members: dict[str, Any], precondition: Precondition
    ) -> None:
        """Replace a secret (`DefinitionStore.update`)."""
        precondition(await self.find(work.session, work.caller, key))
        await put_secret(work, key, make_body(SecretPut, members))


def _facts(row: SecretRow) -> list[str]:
    hosts = f"for {', '.join(row.hosts)}" if row.hosts else "for no host"
    tools = [f"in {', '.join(row.tools)}"] if row.tools else []
    return [f"secret://{row.name}", hosts, *tools]


SECRET_PAGES = DefinitionPages(
    path="/secrets",
    texts={
        "title": "Secrets",
        "noun": "secret",
        "lead": "Passwords and tokens for tools and MCP servers. They are stored encrypted, never "
        "shown again, and sent only to the hosts that you name.",
        "empty": "Store a token here, and write secret://NAME where it is needed.",
        "delete": "Executions that use it fail from now on, with a clear error.",
    },
    store=SecretStore(SECRETS, SecretForm, SecretPut),
    model=SecretForm,
    sections=(
        Section(
            "",
            (
                Field(
                    "name",
                    hint="Lowercase letters, digits, _, . and -.",
                    is_short=True,
                ),
                Field(
                    "value",
                    hint="It is never shown again. To change where it may be used, enter it again.",
                ),
                Field(
                    "hosts",
                    hint="It may be sent to these hosts only; *.example.com means every subdomain.",
                ),
                Field("tools", hint="Tools that may receive it, such as web_fetch."),
            ),
        ),
    ),
    read_row=lambda row: {"hosts": row.hosts, "tools": row.tools},
    facts=_facts,
    list_rows=SECRETS.page,
    key="name",
    key_kind=SecretName,
    key_of=lambda row: row.name,
)


SECRET_PAGES.add_to(router)
