"""Which groups of tools a client gets: those in its URL, otherwise the operator's default."""

from collections.abc import Iterable
from typing import get_args

from api.http.request_context import Call
from api.mcp.registry import Group
from domain.errors import FieldProblem, InvalidInputError

GROUPS = frozenset(get_args(Group))

DEFAULT = "default"
ALL = "all"

PARAMETER = "groups"
"""Of the URL: names separated by commas; may be repeated."""


def groups_of(call: Call) -> frozenset[str]:
    """The groups of a request.

    Raises:
        InvalidInputError: the URL names a group that does not exist.
    """
    given = call.request.query_params.getlist(PARAMETER)
    if not given:
        return _expand(call.gateway.settings.mcp_groups)
    names = [name.strip() for part in given for name in part.split(",") if name.strip()]
    if unknown := [name for name in names if name not in GROUPS | {ALL}]:
        known = ", ".join(sorted(GROUPS | {ALL}))
        message = f"There is no group {unknown[0]!r}; the groups are {known}."
        raise InvalidInputError(
            "The URL of the server is invalid; see errors.",
            [FieldProblem(("query", PARAMETER), message)],
        )
    return _expand(names)


def _expand(names: Iterable[str]) -> frozenset[str]:
    """The groups with these names, and the default one; `all` means every group."""
    return GROUPS if ALL in names else frozenset({DEFAULT, *names})
