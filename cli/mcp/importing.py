"""Stores the MCP servers of another program's file: plans, rehearses, and stores them.

A variable (`${NAME}`, `${NAME:-default}`) in a header or in the environment of a command becomes a
reference to a secret. Elsewhere its value is written out, unless its name sounds secret.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cli.connection.client import Client, Json, RefusedError
from cli.mcp.files import ListedServer
from domain.agents.agent import slug_of
from domain.secrets import may_reach, sounds_secret

VARIABLE = re.compile(
    r"\$\{(?:(?P<kind>env|input):)?(?P<name>[A-Za-z_]\w*(?:[.-]\w+)*)(?::-(?P<default>[^}]*))?\}"
)
_LONE = re.compile(rf"(?P<word>[A-Za-z]+ )?{VARIABLE.pattern}")
_OPEN = re.compile(r"\$\{[^}]*\}?")
_LEFT_OUT: Json = {
    "url": None, "command": None, "args": [], "headers": {}, "env": {}, "description": None,
}  # fmt: skip
"""Fields that a file leaves out, as a replaced server gets them."""

AskValue = Callable[[str], str | None]
"""Returns the value of a variable that the environment lacks, or None if no person can be asked."""


@dataclass(slots=True)
class NewSecret:
    """A secret to store, and where it may be used."""

    name: str
    variable: str
    value: str
    hosts: set[str] = field(default_factory=set)
    tools: set[str] = field(default_factory=set)


@dataclass(slots=True)
class PlannedServer:
    """A server to store, and how its variables are replaced."""

    listed: ListedServer
    body: Json
    existing: Json | None = None
    secrets: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)
    """What is written out in place of a variable, for people."""
    problems: list[str] = field(default_factory=list)

    @property
    def change(self) -> str:
        """What storing it does."""
        return "create" if self.existing is None else "replace"


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """What an import stores: secrets first, because the servers refer to them."""

    servers: Sequence[PlannedServer]
    secrets: Mapping[str, NewSecret]

    @property
    def has_problems(self) -> bool:
        """Whether something has to be corrected first; then nothing is stored."""
        return any(server.problems for server in self.servers)


class ImportPlanner:
    """Plans the servers of one file for one user."""

    def __init__(
        self, client: Client, environment: Mapping[str, str], ask: AskValue, *, on_existing: str
    ) -> None:
        """`on_existing` is what happens to a server whose name exists: refuse, keep or replace."""
        me = client.call("get_me")["id"]
        servers = client.iterate("list_mcp_servers")
        self._servers = {s["name"]: s for s in servers if s["user_id"] == me}
        self._stored = {secret["name"]: secret for secret in client.iterate("list_secrets")}
        self._environment = environment
        self._ask = ask
        self._on_existing = on_existing
        self._new: dict[str, NewSecret] = {}

    def plan(self, listed: Sequence[ListedServer]) -> ImportPlan:
        """Plan every server, except those that exist and are kept."""
        planned = [self._plan_server(server) for server in listed]
        kept = [
            server for server in planned if server.existing is None or self._on_existing != "keep"
        ]
        return ImportPlan(kept, self._new)

    def _plan_server(self, listed: ListedServer) -> PlannedServer:
        server = PlannedServer(listed, {}, self._servers.get(listed.name))
        server.problems.extend(listed.problems)
        if server.existing is not None and self._on_existing == "keep":
            return server
        if server.existing is not None and self._on_existing == "refuse":
            server.problems.append("You have a server with this name; --replace or --keep it.")
        if not server.problems:
            body = {f: self._write_out(server, f, v) for f, v in listed.body.items()}
            for name in ("headers", "env"):
                if isinstance(body.get(name), dict):
                    body[name] = self._refer(server, name, body)
            server.body = body if server.existing is None else {**_LEFT_OUT, **body}
        return server

    # --- variables that are written out -----------------------------------------------------------

    def _write_out(self, server: PlannedServer, name: str, value: Any) -> Any:
        """Replace the variables of a field that is stored as it is."""
        if name in {"headers", "env"}:
            return value
        if isinstance(value, list):
            return [self._write_out(server, name, item) for item in value]
        if not isinstance(value, str):
            return value
        return VARIABLE.sub(lambda found: self._value_of(server, name, found), value)

    def _value_of(self, server: PlannedServer, name: str, found: re.Match[str]) -> str:
        variable, value = found["name"], self._look_up(found)
        if sounds_secret(variable):
            place = "headers" if name == "url" else "env"
            server.problems.append(
                f"{name}: {found[0]} sounds secret, and {name} is stored as text; use {place}."
            )
        elif value is None:
            server.problems.append(f"{name}: {variable} is not set; set it, or write the value.")
        else:
            server.values.append(f"{name}: {variable} = {value}")
        return value or ""

    def _look_up(self, found: re.Match[str]) -> str | None:
        """The value from the environment, else the default; an empty one counts as none."""
        value = None if found["kind"] == "input" else self._environment.get(found["name"])
        return value or found["default"]

    # --- variables that become secrets ------------------------------------------------------------

    def _refer(self, server: PlannedServer, name: str, body: Json) -> Json:
        """Replace the variables of headers or of an environment by references to secrets."""
        use = _Use(server, str(body.get("url") or ""))
        return {
            key: self._refer_value(use, f"{name}.{key}", value) if isinstance(value, str) else value
            for key, value in body[name].items()
        }

    def _refer_value(self, use: "_Use", where: str, value: str) -> str:
        if not VARIABLE.search(value):
            return value
        lone = _LONE.fullmatch(value)
        if lone is None:
            return self._refer_whole(use, where, value)
        is_set = lone["kind"] != "input" and self._environment.get(lone["name"])
        secret = lone["name"].lower()
        if not is_set and lone["default"] and secret not in self._stored:
            # What a file contains is no secret; the gateway encrypts it like any other value.
            use.server.values.append(f"{where}: {lone['name']} = its default")
            return f"{lone['word'] or ''}{lone['default']}"
        reference = self._add_secret(
            use, where, secret, lone["name"], lambda: self._require_value(use, where, lone)
        )
        return f"{lone['word'] or ''}{reference}"

    def _refer_whole(self, use: "_Use", where: str, value: str) -> str:
        """A secret with all of a value, in which other text surrounds the variables."""
        names = ", ".join(found["name"] for found in VARIABLE.finditer(value))
        secret = slug_of(f"{use.server.listed.name} {where.partition('.')[2]}")

        def fill() -> str:
            return VARIABLE.sub(lambda found: self._require_value(use, where, found), value)

        return self._add_secret(use, where, secret, names, fill)

    def _add_secret(
        self, use: "_Use", where: str, name: str, variable: str, read: Callable[[], str]
    ) -> str:
        """Use the stored secret with this name, or plan a new one; returns the reference."""
        stored = self._stored.get(name)
        if stored is not None:
            if problem := use.problem(stored):
                use.server.problems.append(f"{where}: your secret {name!r} {problem}")
        elif name in self._new or (value := read()):
            new = self._new.setdefault(name, NewSecret(name, variable, value))
            use.allow(new)
        use.server.secrets.append(name)
        return f"secret://{name}"

    def _require_value(self, use: "_Use", where: str, found: re.Match[str]) -> str:
        value = self._look_up(found) or self._ask(found["name"])
        if not value:
            name = found["name"]
            how = "" if found["kind"] == "input" else f"set {name}, or "
            use.server.problems.append(
                f"{where}: {name} has no value; {how}store it with "
                f"`perdure secrets set {name.lower()} {use.option}`."
            )
        return value or ""


@dataclass(frozen=True, slots=True)
class _Use:
    """The server that uses a secret: its host, or for a command the server itself."""

    server: PlannedServer
    url: str

    @property
    def host(self) -> str | None:
        try:
            return urlsplit(self.url).hostname
        except ValueError:  # the gateway refuses the URL, with a reason
            return None

    @property
    def tool(self) -> str:
        return f"mcp__{self.server.listed.name}"

    @property
    def option(self) -> str:
        return f"--host {self.host}" if self.host else f"--tool {self.tool}"

    def allow(self, secret: NewSecret) -> None:
        if self.host:
            secret.hosts.add(self.host)
        else:
            secret.tools.add(self.tool)

    def problem(self, stored: Json) -> str | None:
        """Why a stored secret can't be used here, or None."""
        if self.host:
            return None if may_reach(stored["hosts"], self.host) else f"may not reach {self.host}."
        return None if self.tool in stored["tools"] else f"is not for {self.tool}; add this tool."


def unread_variables(body: Json) -> Iterator[str]:
    """Yield what looks like a variable and was not replaced."""
    texts = [body.get("url"), body.get("command"), *body.get("args", ())]
    texts += [*body.get("headers", {}).values(), *body.get("env", {}).values()]
    for text in texts:
        yield from _OPEN.findall(text) if isinstance(text, str) else ()


def rehearse(client: Client, plan: ImportPlan) -> None:
    """Check each server with the gateway, which stores nothing; refusals become problems."""
    for server in plan.servers:
        if server.problems:
            continue
        if unread := list(unread_variables(server.body)):
            server.problems.append(f"{', '.join(unread)} is not replaced; write the value itself.")
            continue
        try:
            _send(client, server, dry_run=True)
        except RefusedError as error:
            _, *problems = str(error).splitlines()
            server.problems.extend(line.strip() for line in problems or [str(error)])


def store(client: Client, plan: ImportPlan) -> Iterator[str]:
    """Store the secrets, then the servers; yield a sentence for each.

    It can be repeated after an interruption: a secret that exists is used as it is.
    """
    for secret in plan.secrets.values():
        where = {"hosts": sorted(secret.hosts), "tools": sorted(secret.tools)}
        client.call("put_secret", {"value": secret.value, **where}, name=secret.name)
        yield f"stored  secret {secret.name}"
    for server in plan.servers:
        _send(client, server)
        yield f"{server.change}d  {server.listed.name}"


def _send(client: Client, server: PlannedServer, *, dry_run: bool | None = None) -> None:
    if server.existing is None:
        client.call("create_mcp_server", server.body, dry_run=dry_run)
    else:
        key = server.existing["id"]
        client.call("update_mcp_server", server.body, server_id=key, dry_run=dry_run)
