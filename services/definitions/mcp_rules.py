"""What MCP servers must be that definitions bring along: `sdk_options.mcp_servers`."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.errors import AddressRefusedError, FieldProblem
from domain.secrets import reference_in, sounds_secret
from services.unit_of_work import CheckUrl
from services.validation_messages import Location

LOC: Location = ("body", "sdk_options", "mcp_servers")

KINDS = ("ref", "url", "command")
TAKEN = {
    "ref": frozenset({"ref"}),
    "url": frozenset({"url", "headers", "type"}),
    "command": frozenset({"command", "args", "env", "type"}),
}
"""Fields beside the one that says what a server is; `type` is what other configurations have."""


def inline_problems(servers: Mapping[str, Any], check_url: CheckUrl) -> Iterator[FieldProblem]:
    """What is wrong with the servers of a definition, apart from references into nowhere."""
    for name, server in servers.items():
        loc = (*LOC, name)
        kinds = [kind for kind in KINDS if isinstance(server, dict) and kind in server]
        if len(kinds) != 1 or not isinstance(server[kinds[0]], str):
            hint = 'Write {"ref": "name"} of a registered one, or give a url, or a command.'
            yield FieldProblem(loc, hint)
            continue
        if unknown := sorted(server.keys() - TAKEN[kinds[0]]):
            yield FieldProblem((*loc, unknown[0]), "There is no such field; leave it out.")
        if kinds == ["url"]:
            yield from address_problems(server["url"], (*loc, "url"), check_url)
        yield from _values(server, loc)


def commands(servers: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """The servers that are commands, which is nothing for everybody."""
    for name, server in servers.items():
        if isinstance(server, dict) and "command" in server:
            hint = "A public task can't start commands; name a server's url."
            yield FieldProblem((*LOC, name), hint)


def address_problems(url: str, loc: Location, check_url: CheckUrl) -> Iterator[FieldProblem]:
    """Why we would never go to this address."""
    try:
        check_url(url)
    except AddressRefusedError as error:
        yield FieldProblem(loc, error.detail, AddressRefusedError.code)


def _values(server: Mapping[str, Any], loc: Location) -> Iterator[FieldProblem]:
    """A definition is kept and shown as it is, so no secret may stand in it."""
    for field in ("headers", "env"):
        values = server.get(field, {})
        if not isinstance(values, dict):
            yield FieldProblem((*loc, field), "Write an object of names and texts.")
            continue
        for name, value in values.items():
            where = (*loc, field, name)
            if not isinstance(value, str):
                yield FieldProblem(where, "Write a text.")
            elif sounds_secret(name) and reference_in(value) is None:
                hint = "Keep it as a secret and write secret://name, or register the server."
                yield FieldProblem(where, hint, "literal_secret")
