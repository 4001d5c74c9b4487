"""Rules for MCP servers in definitions (`sdk_options.mcp_servers`)."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.errors import AddressRefusedError, FieldProblem
from domain.mcp_servers import reference_in, sounds_secret
from services.unit_of_work import CheckUrl
from services.validation_messages import Location

LOC: Location = ("body", "sdk_options", "mcp_servers")

KINDS = ("ref", "url", "command")
TAKEN = {
    "ref": frozenset({"ref"}),
    "url": frozenset({"url", "headers", "type"}),
    "command": frozenset({"command", "args", "env", "type"}),
}
"""Optional fields; other configuration formats contain `type`."""


def inline_problems(servers: Mapping[str, Any], check_url: CheckUrl) -> Iterator[FieldProblem]:
    """Problems of the servers in a definition, except for unknown references."""
    for name, server in servers.items():
        loc = (*LOC, name)
        kinds = [kind for kind in KINDS if isinstance(server, dict) and kind in server]
        if len(kinds) != 1 or not isinstance(server[kinds[0]], str):
            hint = 'Use {"ref": "name"} for a registered server, or specify a url or a command.'
            yield FieldProblem(loc, hint)
            continue
        if unknown := sorted(server.keys() - TAKEN[kinds[0]]):
            yield FieldProblem((*loc, unknown[0]), "This field does not exist; remove it.")
        if kinds == ["url"]:
            yield from address_problems(server["url"], (*loc, "url"), check_url)
        yield from _values(server, loc)


def commands(servers: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """Problems of servers with commands, which public tasks cannot use."""
    for name, server in servers.items():
        if isinstance(server, dict) and "command" in server:
            hint = "A public task cannot use a command; use a server with a url."
            yield FieldProblem((*LOC, name), hint)


def address_problems(url: str, loc: Location, check_url: CheckUrl) -> Iterator[FieldProblem]:
    """The reason why this URL is not allowed, or None."""
    try:
        check_url(url)
    except AddressRefusedError as error:
        yield FieldProblem(loc, error.detail, AddressRefusedError.code)


def _values(server: Mapping[str, Any], loc: Location) -> Iterator[FieldProblem]:
    """Problems of headers and variables; definitions are readable and must not contain secrets."""
    for field in ("headers", "env"):
        values = server.get(field, {})
        if not isinstance(values, dict):
            yield FieldProblem((*loc, field), "Use an object with strings as values.")
            continue
        for name, value in values.items():
            where = (*loc, field, name)
            if not isinstance(value, str):
                yield FieldProblem(where, "Write a text.")
            elif sounds_secret(name) and reference_in(value) is None:
                hint = "Store the value as a secret and use secret://name, or register the server."
                yield FieldProblem(where, hint, "literal_secret")
