"""Headers and variables of registered MCP servers: encrypted when stored, masked when shown."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, SecretUnusableError
from domain.secrets import MASK, may_reach, reference_in
from persistence.definitions import secrets
from persistence.definitions.secrets import SecretSealer

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


async def open_headers(
    session: AsyncSession,
    box: SecretSealer,
    user_id: UUID,
    server_id: UUID,
    headers: Mapping[str, Any],
    *,
    host: str,
) -> dict[str, str]:
    """Return the headers to send to a server, with this user's secrets that the host may get.

    Raises:
        SecretUnusableError: a secret does not exist, or must not be sent to this host.
        SecretsNotConfiguredError: the key is missing.
    """
    opened: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(value, str):
            sealed = base64.b64decode(value[SEALED])
            opened[name] = box.open(sealed, label=_label(server_id, "headers", name))
        elif (reference := reference_in(value)) is not None:
            row, secret = await secrets.decrypt(session, box, user_id, reference)
            if not may_reach(row.hosts, host):
                raise SecretUnusableError(
                    f"The secret {row.name!r} may not be sent to {host}; add the host to it."
                )
            opened[name] = value.replace(reference, secret)
        else:
            raise LookupError("a stored value is encrypted or a reference")
        if not (opened[name].isascii() and opened[name].isprintable()):
            raise SecretUnusableError(
                f"The value of {name} is not valid in an HTTP header; use visible ASCII characters."
            )
    return opened


def _seal_value(box: SecretSealer, value: str, label: str) -> Any:
    if reference_in(value) is not None:
        return value
    return {SEALED: base64.b64encode(box.seal(value, label=label)).decode("ascii")}


def _label(server_id: UUID, kind: Kind, name: str) -> str:
    """Return the place of an encrypted value: moved to another place, it cannot be decrypted."""
    return f"mcp_server {server_id} {kind} {name}"
