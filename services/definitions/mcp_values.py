"""Headers and variables of registered MCP servers: encrypted when stored, masked when shown."""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, SecretUnusableError
from domain.rules.text_patterns import matches_wildcards
from domain.secrets import MASK, may_reach, reference_in
from persistence.definitions import secrets
from persistence.definitions.secrets import SecretSealer
from persistence.tables.definitions import SecretRow

Kind = Literal["headers", "env"]

SEALED = "sealed"


def mask_values(values: Mapping[str, Any]) -> dict[str, str]:
    """Return stored values as users may see them: references as they are, the others masked."""
    return {name: value if isinstance(value, str) else MASK for name, value in values.items()}


def mask_problems(
    kind: Kind, values: Mapping[str, str], stored: Mapping[str, Any]
) -> Iterator[FieldProblem]:
    """Yield a problem for each mask that replaces no stored value."""
    for name, value in values.items():
        if value == MASK and name not in stored:
            msg = f"{MASK} keeps a stored value, but this name has no stored value; send a value."
            yield FieldProblem(("body", kind, name), msg)


def seal_values(
    box: SecretSealer,
    server_id: UUID,
    kind: Kind,
    values: Mapping[str, str],
    stored: Mapping[str, Any],
) -> dict[str, Any]:
    """Return values as they are stored; for a mask, the stored value.

    Raises:
        SecretsNotConfiguredError: a value is to be encrypted, and there is no key.
    """
    return {
        name: stored[name]
        if value == MASK
        else _seal_value(box, value, _label(server_id, kind, name))
        for name, value in values.items()
    }


@dataclass(frozen=True, slots=True)
class ValueDecryptor:
    """Decrypts the values of one server for one user. `server_id` is that of a registered one.

    Values of a server in a definition are references or plain text, those of a registered one are
    references or encrypted.
    """

    session: AsyncSession
    box: SecretSealer
    user_id: UUID
    server_id: UUID | None = None

    async def headers(self, values: Mapping[str, Any], *, host: str) -> dict[str, str]:
        """Return the headers to send to a server, with this user's secrets that the host may get.

        Raises:
            SecretUnusableError: a secret does not exist, or must not be sent to this host.
            SecretsNotConfiguredError: the key is missing.
        """

        def refuse(secret: SecretRow) -> str | None:
            if may_reach(secret.hosts, host):
                return None
            return f"The secret {secret.name!r} may not be sent to {host}; add the host to it."

        opened = {name: await self._open("headers", name, values[name], refuse) for name in values}
        for name, value in opened.items():
            if not (value.isascii() and value.isprintable()):
                raise SecretUnusableError(
                    f"The value of {name} is not valid in an HTTP header; use visible ASCII "
                    "characters."
                )
        return opened

    async def variables(self, values: Mapping[str, Any], *, server: str) -> dict[str, str]:
        """Return the environment of a program, with this user's secrets that its tools may get.

        Raises:
            SecretUnusableError: a secret does not exist, or is not for tools of this server.
            SecretsNotConfiguredError: the key is missing.
        """
        tools = f"mcp__{server}"

        def refuse(secret: SecretRow) -> str | None:
            if any(
                matches_wildcards(bound, tool)
                for bound in secret.tools
                for tool in (tools, f"{tools}__")
            ):
                return None
            return f"The secret {secret.name!r} is not for this server; add the tool {tools} to it."

        opened = {name: await self._open("env", name, values[name], refuse) for name in values}
        for name, value in opened.items():
            if "\0" in value:
                raise SecretUnusableError(f"The value of {name} contains NUL; remove it.")
        return opened

    async def _open(
        self, kind: Kind, name: str, value: Any, refuse: Callable[[SecretRow], str | None]
    ) -> str:
        if not isinstance(value, str):
            if self.server_id is None:
                raise LookupError("only values of registered servers are encrypted")
            label = _label(self.server_id, kind, name)
            return self.box.open(base64.b64decode(value[SEALED]), label=label)
        reference = reference_in(value)
        if reference is None:
            return value
        row, secret = await secrets.decrypt(self.session, self.box, self.user_id, reference)
        if problem := refuse(row):
            raise SecretUnusableError(problem)
        return value.replace(reference, secret)


def _seal_value(box: SecretSealer, value: str, label: str) -> Any:
    if reference_in(value) is not None:
        return value
    return {SEALED: base64.b64encode(box.seal(value, label=label)).decode("ascii")}


def _label(server_id: UUID, kind: Kind, name: str) -> str:
    """Return the place of an encrypted value: moved to another place, it cannot be decrypted."""
    return f"mcp_server {server_id} {kind} {name}"
