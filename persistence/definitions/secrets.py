"""Users' secrets: stored encrypted, listed without values, decrypted where they are used."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import SecretUnusableError
from domain.ids import new_id
from domain.secrets import name_in
from persistence.definitions import named_resources
from persistence.tables.definitions import SecretRow


class SecretSealer(Protocol):
    """Encrypts and decrypts (`runtime/secret_box.py`)."""

    def seal(self, value: str, *, label: str) -> bytes:
        """Encrypt the value; `label` binds it to its place."""

    def open(self, sealed: bytes, *, label: str) -> str:
        """Decrypt the value."""


async def put(
    session: AsyncSession,
    sealer: SecretSealer,
    user_id: UUID,
    name: str,
    value: str,
    *,
    hosts: Sequence[str],
    tools: Sequence[str],
) -> tuple[SecretRow, bool]:
    """Create or replace the secret with this name; returns the row, and whether it is new.

    Raises:
        SecretsNotConfiguredError: no encryption key is configured.
    """
    fresh = SecretRow(id=new_id(), user_id=user_id, name=name)
    values = {
        "encrypted_value": sealer.seal(value, label=fresh.label),
        "hosts": list(hosts),
        "tools": list(tools),
        "updated_at": func.now(),
    }
    row = await session.scalar(
        insert(SecretRow)
        .values(id=fresh.id, user_id=user_id, name=name, **values)
        .on_conflict_do_update(index_elements=["user_id", "name"], set_=values)
        .returning(SecretRow)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise LookupError(f"secret {name} was not written")
    return row, row.id == fresh.id


async def find(session: AsyncSession, user_id: UUID, name: str) -> SecretRow | None:
    """The user's secret with this name."""
    return await named_resources.find_private(session, SecretRow, user_id, name)


async def decrypt(
    session: AsyncSession, sealer: SecretSealer, user_id: UUID, reference: str
) -> tuple[SecretRow, str]:
    """The user's secret that `secret://name` refers to, and its value.

    The caller checks that `hosts` and `tools` allow the use (`domain.secrets.may_reach`).

    Raises:
        SecretUnusableError: the user has no such secret.
        SecretsNotConfiguredError: the key that encrypted it is not configured.
    """
    name = name_in(reference)
    row = None if name is None else await find(session, user_id, name)
    if row is None:
        raise SecretUnusableError(f"There is no secret {name or reference[:80]!r}.")
    value = sealer.open(row.encrypted_value, label=row.label)
    await session.execute(
        update(SecretRow).where(SecretRow.id == row.id).values(last_used_at=datetime.now(UTC))
    )
    return row, value
