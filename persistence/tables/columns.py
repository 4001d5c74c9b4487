"""The declarative base and the column types that all tables share.

The rows that a step writes (messages, model and tool calls, events) have no foreign key to their
execution: the same statement has just updated the execution, and executions are never deleted. The
check would cost a fifth of a step in Postgres.
"""

from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar
from uuid import UUID

from sqlalchemy import JSON, DateTime, ForeignKey, MetaData, Numeric, Text, Uuid, func
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from domain.ids import new_id
from domain.text import clean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class CleanText(TypeDecorator[str]):
    """Text that Postgres can store: NUL and lone surrogates are replaced by U+FFFD.

    Tools and models produce both; if the row were refused, the step would be lost.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace what can't be stored."""
        del dialect
        return None if value is None else clean(value)


class Row(DeclarativeBase):
    """Base of all rows. `str` is `text`; `Any` is `json`, never `jsonb`: that reorders keys."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar = {
        str: CleanText,
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        Decimal: Numeric(18, 6),
        Any: JSON(none_as_null=True),
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
    }


Id = Annotated[UUID, mapped_column(primary_key=True, default=new_id)]
CreatedAt = Annotated[datetime, mapped_column(server_default=func.now())]


def read_as(kind: type[D], row: object, /, **values: Any) -> D:
    """Return a dataclass with these values, and with attributes of the row for its other fields."""
    names = (field.name for field in fields(kind) if field.name not in values)
    return kind(**{name: getattr(row, name) for name in names}, **values)


class OwnedRow(Row):
    """A row that belongs to one user."""

    __abstract__ = True

    id: Mapped[Id]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"))


class PrivateRow(OwnedRow):
    """A resource that only its user can see, with a name that is unique for the user."""

    __abstract__ = True

    name: Mapped[str]


class NamedRow(OwnedRow):
    """A resource with a name that is unique per user (`persistence.definitions.named_resources`).

    The unique index is the table's: `uq_<table>_user_id_name`.
    """

    __abstract__ = True

    KIND: ClassVar[str]
    """The kind of resource for error texts, with its article."""

    name: Mapped[str]
    description: Mapped[str | None]
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[CreatedAt]
