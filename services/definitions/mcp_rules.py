"""Rules for the MCP servers in a definition: `sdk_options.mcp_servers`."""

from collections.abc import Iterator, Mapping
from typing import Any

from domain.errors import AddressRefusedError, FieldProblem
from domain.secrets import reference_in, sounds_secret
from services.unit_of_work import CheckUrl
from services.validation_messages import Location

LOC: Location = ("body", "sdk_options", "mcp_servers")

KINDS = ("ref", "url", "command")
FIELDS = {
    "ref": frozenset({"ref"}),
    "url": frozenset({"url", "headers", "type"}),
    "command": frozenset({"command", "args", "env", "type"}),
}
"""The fields of each kind of server; `type` is there because other configurations have it."""


def inline_problems(servers: Mapping[str, Any], check_url: CheckUrl) -> Iterator[FieldProblem]:
    """Yield what is wrong with the servers of a definition; references are not looked up."""
    for name, server in servers.items():
        loc = (*LOC, name)
        kinds = [kind for kind in KINDS if isinstance(server, dict) and kind in server]
        if len(kinds) != 1 or not isinstance(server[kinds[0]], str):
            msg = 'Name a registered server as {"ref": "name"}, or give a url or a command.'
            yield FieldProblem(loc, msg)
            continue
        if unknown := sorted(server.keys() - FIELDS[kinds[0]]):
            yield FieldProblem((*loc, unknown[0]), "This field does not exist; leave it out.")
        if kinds == ["url"]:
            yield from url_problems(server["url"], (*loc, "url"), check_url)
        yield from _value_problems(server, loc)


def command_problems(servers: Mapping[str, Any]) -> Iterator[FieldProblem]:
    """Yield a problem for each server that is a command, which nothing public can have."""
    for name, server in servers.items():
        if isinstance(server, dict) and "command" in server:
            msg = "What is public cannot start commands; use a server with a url."
            yield FieldProblem((*LOC, name), msg)


def url_problems(url: str, loc: Location, check_url: CheckUrl) -> Iterator[FieldProblem]:
    """Yield why Perdure does not connect to this URL."""
    try:
        check_url(url)
    except AddressRefusedError as error:
        yield FieldProblem(loc, error.detail, AddressRefusedError.code)


def _value_problems(server: Mapping[str, Any], loc: Location) -> Iterator[FieldProblem]:
    """Yield a problem for each secret: a definition is stored and shown as it is."""
    for field in ("headers", "env"):
        values = server.get(field, {})
        if not isinstance(values, dict):
            yield FieldProblem((*loc, field), "Write an object of names and strings.")
            continue
        for name, value in values.items():
            if not isinstance(value, str):
                yield FieldProblem((*loc, field, name), "Write a string.")
            elif sounds_secret(name) and reference_in(value) is None:
                msg = (
                    "A definition must not contain secrets; store the value as a secret and write "
                    "secret://name, or register the server."
                )
                yield FieldProblem((*loc, field, name), msg, "literal_secret")
