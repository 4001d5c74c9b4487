"""Secrets: stored under a name, read only by the tools and requests that use them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.errors import SecretUnusableError
from domain.rules.text_patterns import matches_wildcards
from domain.secrets import may_reach
from persistence.definitions import dependents, secrets
from persistence.definitions.dependents import Dependent
from persistence.tables.definitions import SecretRow
from services.caller import Caller
from services.definitions.inputs import SecretPut
from services.definitions.resources import PrivateResource
from services.unit_of_work import Services, UnitOfWork


class Secrets(PrivateResource[SecretRow]):
    """The declaration of secrets. The key is the name; other users' names are not visible."""

    entity, noun = "secret", "secret"
    table = SecretRow

    async def dependents(self, work: UnitOfWork, row: SecretRow) -> Sequence[Dependent]:
        """Return the owner's tasks, templates and MCP servers that name the secret."""
        return await dependents.find(work.session, row.user_id, self.entity, row.name)

    def audited_fields(self, row: SecretRow) -> Mapping[str, Any]:
        """Return the name and where the secret may be used."""
        return {"name": row.name, "hosts": row.hosts, "tools": row.tools}


SECRETS = Secrets()


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret without its value, and whether its name is new."""

    row: SecretRow
    is_new: bool


async def put_secret(work: UnitOfWork, name: str, body: SecretPut) -> StoredSecret:
    """Store a secret of the caller, or replace the one with this name.

    Raises:
        SecretsNotConfiguredError: there is no key to encrypt it with.
    """
    row, is_new = await secrets.put(
        work.session,
        work.services.secrets,
        work.caller.user_id,
        name,
        body.value.get_secret_value(),
        hosts=body.hosts,
        tools=body.tools,
    )
    action = "secret.create" if is_new else "secret.update"
    await work.record_audit(action, ("secret", row.id), after=SECRETS.audited_fields(row))
    return StoredSecret(row, is_new)


async def open_secret(
    services: Services, user_id: UUID, reference: str, host: str, tool: str | None = None
) -> str:
    """Return the value of a user's secret that is sent to a host, or proves something to it.

    `tool` is the tool that sends it, if a model decides what is sent.

    Raises:
        SecretUnusableError: it does not exist, or the host or the tool may not receive it.
    """
    async with services.transaction(Caller.engine()) as work:
        row, value = await secrets.decrypt(work.session, services.secrets, user_id, reference)
        if not may_reach(row.hosts, host):
            raise SecretUnusableError(
                f"The secret {row.name!r} may not be sent to {host}; add the host to it."
            )
        if tool is not None and not any(matches_wildcards(bound, tool) for bound in row.tools):
            raise SecretUnusableError(
                f"The secret {row.name!r} is not for the tool {tool}; add the tool to it."
            )
    return value
