"""Headers and variables of registered MCP servers: encrypted when stored, masked when shown."""

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import FieldProblem, SecretUnusableError
from domain.mcp_servers import MASK, reference_in
from domain.secrets import may_reach
from persistence.definitions import secrets
from runtime.secret_box import SecretBox

Kind = Literal["headers", "env"]

SEALED = "sealed"


def shown(values: Mapping[str, Any]) -> dict[str, str]:
    """The values for display: references unchanged, other values masked."""
    return {name: value if isinstance(value, str) else MASK for name, value in values.items()}


def mask_problems(
    kind: Kind, given: Mapping[str, str], before: Mapping[str, Any]
) -> Iterator[FieldProblem]:
    """Problems of masked values without a stored value."""
    for name, value in given.items():
        if value == MASK and name not in before:
            hint = (
                "This is the mask of a stored value, but no value is stored; send the value itself."
            )
            yield FieldProblem(("body", kind, name), hint)


def kept(
    sealer: SecretBox,
    server_id: UUID,
    kind: Kind,
    given: Mapping[str, str],
    before: Mapping[str, Any],
) -> dict[str, Any]:
    """The values to store; a masked value does not change.

    Raises:
        SecretsNotConfiguredError: there is no key to encrypt a value.
    """
    return {
        name: before[name] if value == MASK else _kept(sealer, _label(server_id, kind, name), value)
        for name, value in given.items()
    }


async def opened(
    session: AsyncSession,
    sealer: SecretBox,
    user_id: UUID,
    server_id: UUID,
    headers: Mapping[str, Any],
    *,
    host: str,
) -> dict[str, str]:
    """The headers to send, with the secrets of this user that this host may receive.

    Raises:
        SecretUnusableError: a secret does not exist or may not be sent to this host.
        SecretsNotConfiguredError: the key is missing.
    """
    found: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(value, str):
            sealed = base64.b64decode(value[SEALED])
            found[name] = sealer.open(sealed, label=_label(server_id, "headers", name))
        elif (reference := reference_in(value)) is not None:
            row, secret = await secrets.decrypt(session, sealer, user_id, reference)
            if not may_reach(row.hosts, host):
                raise SecretUnusableError(
                    f"The secret {row.name!r} may not be sent to {host}; add the host to it."
                )
            found[name] = value.replace(reference, secret)
        else:
            raise LookupError("a stored value is always encrypted or a reference")
        if not (found[name].isascii() and found[name].isprintable()):
            raise SecretUnusableError(
                f"The value of {name} is not valid in an HTTP header; use visible ASCII characters."
            )
    return found


def _kept(sealer: SecretBox, label: str, value: str) -> Any:
    if reference_in(value) is not None:
        return value
    return {SEALED: base64.b64encode(sealer.seal(value, label=label)).decode("ascii")}


def _label(server_id: UUID, kind: Kind, name: str) -> str:
    """The context of an encrypted value: it cannot be decrypted in another place."""
    return f"mcp_server {server_id} {kind} {name}"
