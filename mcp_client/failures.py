"""Reads errors of the SDK, which wraps the cause in groups."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def find_error(error: BaseException | None, kind: type[E] | tuple[type[E], ...]) -> E | None:
    """Return the first error of this kind in a group, or the error itself, or None."""
    if isinstance(error, BaseExceptionGroup):
        found = (find_error(inner, kind) for inner in error.exceptions)
        return next((inner for inner in found if inner is not None), None)
    return error if isinstance(error, kind) else None
