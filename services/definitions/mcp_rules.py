"""Rules for MCP servers, which tasks define (`sdk_options.mcp_servers`) and users register."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from domain.agents.agent import LONGEST_SLUG, SLUG, slug_of
from domain.errors import AddressRefusedError, FieldProblem
from domain.secrets import reference_in, sounds_secret
from services.definitions.inputs import McpConnection
from services.unit_of_work import CheckUrl
from services.validation_messages import Location, find_problems

LOC: Location = ("body", "sdk_options", "mcp_servers")

RESERVED_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept"}
)
"""Headers that Perdure sets itself."""

_WRAPPERS = frozenset({"mcpServers", "mcp_servers", "servers"})
_TRANSPORTS = {
    "url": frozenset({"http", "https", "streamable-http", "streamable_http", "streamablehttp"}),
    "command": frozenset({"stdio"}),
}
"""What other programs write as `type` of a server with a url or a command, in lower case."""

_VARIABLE = re.compile(r"\$\{[^}]*\}?")


def inline_problems(servers: Mapping[str, Any], check_url: CheckUrl) -> Iterator[FieldProblem]:
    """Yield what is wrong with the servers of a definition; references are not looked up."""
    for name, server in servers.items():
        loc = (*LOC, name)
        if problem := _shape_problem(name, server, loc):
            yield problem
        elif "ref" in server:
            yield from _reference_problems(server, loc)
        else:
            yield from _inline_problems(server, loc, check_url)


def _shape_problem(name: str, server: Any, loc: Location) -> FieldProblem | None:
    """The problem of an entry that is no server, or has no valid name."""
    if not isinstance(server, dict):
        msg = f"{name!r:.120} is not a server, which is an object; leave it out."
        return FieldProblem(loc, msg)
    if name in _WRAPPERS and all(isinstance(inner, dict) for inner in server.values()):
        msg = f"Leave out the object {name!r} around the servers; write its content here."
        return FieldProblem(loc, msg)
    if len(name) > LONGEST_SLUG or not re.fullmatch(SLUG, name):
        hint = f", such as {slug_of(name)!r}" if slug_of(name) else ""
        msg = f"Tools are named after the server: use lower-case letters, digits, - and _{hint}."
        return FieldProblem(loc, msg)
    return None


def _reference_problems(server: Mapping[str, Any], loc: Location) -> Iterator[FieldProblem]:
    if not isinstance(server["ref"], str):
        yield FieldProblem((*loc, "ref"), "Write the name of a registered server.")
    if server.keys() & {"url", "command"}:
        msg = 'Name a registered server as {"ref": "name"}, or give a url or a command.'
        yield FieldProblem(loc, msg)
        return
    for field in sorted(server.keys() - {"ref"}):
        msg = "A registered server has its own fields; leave this one out, or leave out ref."
        yield FieldProblem((*loc, field), msg)


def _inline_problems(
    server: Mapping[str, Any], loc: Location, check_url: CheckUrl
) -> Iterator[FieldProblem]:
    try:
        connection = McpConnection.model_validate_json(json.dumps(server), strict=True)
    except ValidationError as error:
        yield from find_problems(error, McpConnection, loc)
        return
    yield from connection_problems(connection, loc, check_url)
    yield from _secret_problems(connection, loc)


def connection_problems(
    connection: McpConnection, loc: Location, check_url: CheckUrl
) -> Iterator[FieldProblem]:
    """Yield what is wrong with the fields of a server, registered or not."""
    if (connection.url is None) == (connection.command is None):
        msg = "Give either a url or a command."
        yield FieldProblem((*loc, "url") if loc == ("body",) else loc, msg)
        return
    kind = "command" if connection.url is None else "url"
    yield from _transport_problems(connection, kind, loc)
    for field in ("headers", "auth") if kind == "command" else ("args", "env"):
        if getattr(connection, field):
            msg = f"A server with a {kind} has no {field}; leave it out."
            yield FieldProblem((*loc, field), msg)
    for name in connection.headers:
        if name.lower() in RESERVED_HEADERS:
            msg = "Perdure sets this header itself; leave it out."
            yield FieldProblem((*loc, "headers", name), msg)
    yield from _auth_problems(connection, loc, check_url)
    variables = list(_variable_problems(connection, loc))
    yield from variables
    if connection.url is not None and not variables:
        yield from url_problems(connection.url, (*loc, "url"), check_url)


def _auth_problems(
    connection: McpConnection, loc: Location, check_url: CheckUrl
) -> Iterator[FieldProblem]:
    """Yield what is wrong with the credentials for access tokens."""
    auth = connection.auth
    if auth is None:
        return
    for name in connection.headers:
        if name.lower() == "authorization":
            msg = "The access token is sent in this header; leave the header or auth out."
            yield FieldProblem((*loc, "headers", name), msg)
    if reference_in(auth.secret) != auth.secret:
        msg = "Store the value with `perdure secrets set NAME`, and write secret://NAME."
        yield FieldProblem((*loc, "auth", "secret"), msg, "literal_secret")
    if auth.issuer is not None:
        yield from url_problems(auth.issuer, (*loc, "auth", "issuer"), check_url)


def _transport_problems(
    connection: McpConnection, kind: str, loc: Location
) -> Iterator[FieldProblem]:
    transport = (connection.type or "").lower()
    if not transport or transport in _TRANSPORTS[kind]:
        return
    if transport == "sse":
        msg = "The transport sse is not supported; use the server's address for streamable HTTP."
    else:
        right = {"url": "http", "command": "stdio"}[kind]
        msg = f"A server with a {kind} has the type {right!r}; write that, or leave type out."
    yield FieldProblem((*loc, "type"), msg)


def _variable_problems(connection: McpConnection, loc: Location) -> Iterator[FieldProblem]:
    """Yield a problem for each `${NAME}`, which other programs replace and Perdure does not."""
    for where, text in _texts(connection):
        if found := _VARIABLE.search(text):
            advice = "store the value as a secret and write secret://name"
            if where[0] not in {"headers", "env"}:
                advice = "write the value itself"
            msg = f"{found.group():.100} is not replaced; {advice}."
            yield FieldProblem((*loc, *where), msg, "variable")


def _texts(connection: McpConnection) -> Iterator[tuple[Location, str]]:
    for field in ("url", "command"):
        if (value := getattr(connection, field)) is not None:
            yield (field,), value
    for index, argument in enumerate(connection.args):
        yield ("args", index), argument
    for name, value in connection.headers.items():
        yield ("headers", name), value
    for name, value in connection.env.items():
        yield ("env", name), value


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


def _secret_problems(connection: McpConnection, loc: Location) -> Iterator[FieldProblem]:
    """Yield a problem for each secret: a definition is stored and shown as it is."""
    values = [("headers", *item) for item in connection.headers.items()]
    values += [("env", *item) for item in connection.env.items()]
    for field, name, value in values:
        if sounds_secret(name) and reference_in(value) is None and not _VARIABLE.search(value):
            msg = (
                "A definition must not contain secrets; store the value as a secret and write "
                "secret://name, or register the server."
            )
            yield FieldProblem((*loc, field, name), msg, "literal_secret")
