"""Tools of MCP servers: what a server lists, and what an execution pins of it.

An execution pins names, descriptions, schemas and hashes when it starts. A tool whose hash is
another one when it is called has changed since, and is not called.
"""

import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from domain.mcp.remote_waits import RemoteState
from domain.rules.permissions import Permissions
from domain.text import clean
from domain.tools.calls import ToolEffect, ToolSpec
from domain.web.network import NO_NETWORK, NetworkList
from domain.workspaces.snapshots import FIRST_VERSION, WorkspaceVersion

PREFIX = "mcp__"

MAX_NAME = 128
"""Characters of a tool's name (Messages API, 2026-10-21)."""

MAX_TOOLS = 500
"""Of one execution: more than any client offers to a model (chosen)."""

MAX_DESCRIPTION = 4096
"""Characters of a description; Claude Code cuts at the same length."""

MAX_SCHEMA_BYTES = 64 * 1024
"""Of one input schema as JSON; the largest that Claude Code was seen to send has 49 kB."""

_DISALLOWED = re.compile(r"[^A-Za-z0-9_-]")
_PROPERTY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""Names of top-level properties (Messages API, 2026-10-21)."""

_COMBINATORS = frozenset({"oneOf", "anyOf", "allOf"})
"""What the Messages API refuses at the top level of a schema."""

_HASH_CHARACTERS = 8
_CUT = "… [truncated]"


@dataclass(frozen=True, slots=True)
class RemoteTool:
    """A tool as its server lists it. The two hints are the server's claims about its effect."""

    name: str
    description: str
    input_schema: Mapping[str, Any]
    is_read_only: bool = False
    is_idempotent: bool = False

    @property
    def sha256(self) -> str:
        """The hash of everything that decides about a call."""
        hints = [self.is_read_only, self.is_idempotent]
        parts = [self.name, self.description, self.input_schema, hints]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def effect(self, *, is_trusted: bool) -> ToolEffect:
        """What a call can change: the hints count only if an admin trusts the server."""
        if is_trusted and self.is_read_only:
            return ToolEffect.READ_ONLY
        return ToolEffect.IDEMPOTENT if is_trusted and self.is_idempotent else ToolEffect.EXTERNAL


@dataclass(frozen=True, slots=True)
class RemoteScope:
    """The execution for which servers are used: whose secrets, which files, which servers.

    `servers` is `sdk_options.mcp_servers` of the definition.
    """

    execution_id: UUID
    user_id: UUID
    session_id: UUID
    servers: Mapping[str, Mapping[str, Any]]
    workspace: WorkspaceVersion = FIRST_VERSION
    working_directory: str | None = None
    network: NetworkList = NO_NETWORK
    """The hosts that programs may connect to."""


@dataclass(frozen=True, slots=True)
class ServerTools:
    """The tools of one server. `server_id` is that of a registered one."""

    key: str
    tools: Sequence[RemoteTool]
    server_id: UUID | None = None
    is_trusted: bool = False
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class PinnedTool:
    """A tool that the model was offered under `name`, and what it was at that time.

    `input_schema` is the server's schema if the model was sent another one.
    """

    name: str
    server: str
    remote_name: str
    sha256: str
    effect: ToolEffect
    server_id: UUID | None = None
    input_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RemoteCall:
    """A call to run. Its `input` matches the pinned schema."""

    scope: RemoteScope
    tool: PinnedTool
    tool_use_id: str
    input: Mapping[str, Any]
    state: RemoteState | None = None
    """What continues a call that was made before."""


@dataclass(frozen=True, slots=True)
class Pins:
    """What an execution pins: definitions for the model, tools for us, warnings for people."""

    definitions: Sequence[Mapping[str, Any]]
    tools: Sequence[PinnedTool]
    warnings: Sequence[str] = field(default_factory=tuple)

    def as_json(self) -> dict[str, Any]:
        """Return the tools as they are stored in `Prefix.mcp`."""
        return {"tools": [_describe_tool(tool) for tool in self.tools]}


def read_pins(mcp: Mapping[str, Any] | None) -> Mapping[str, PinnedTool]:
    """Return the pinned tools by the names that the model knows."""
    return {
        stored["name"]: PinnedTool(
            name=stored["name"],
            server=stored["server"],
            remote_name=stored["remote_name"],
            sha256=stored["sha256"],
            effect=ToolEffect(stored["effect"]),
            server_id=UUID(stored["server_id"]) if stored.get("server_id") else None,
            input_schema=stored.get("input_schema"),
        )
        for stored in (mcp or {}).get("tools", ())
    }


def spec_of(tool: PinnedTool, definition: Mapping[str, Any]) -> ToolSpec:
    """Return the tool with the schema that inputs must match."""
    schema = tool.input_schema or definition["input_schema"]
    return ToolSpec(tool.name, definition["description"], schema, tool.effect)


def pin(servers: Iterable[ServerTools], permissions: Permissions) -> Pins:
    """Choose what the execution offers, in the order of the servers and their lists."""
    definitions: list[Mapping[str, Any]] = []
    tools: list[PinnedTool] = []
    warnings: list[str] = []
    for server in servers:
        warnings += server.warnings
        usable = list(_usable(server, warnings))
        names = tool_names(server.key, [tool.name for tool in usable])
        offered = [
            (name, tool)
            for name, tool in zip(names, usable, strict=True)
            if permissions.offers(name)
        ]
        if not offered:
            warnings.append(_nothing_offered(server, has_tools=bool(usable)))
        for name, tool in offered:
            definition = _definition(name, tool)
            definitions.append(definition)
            tools.append(_pin_tool(name, tool, server, definition))
    if len(tools) > MAX_TOOLS:
        warnings.append(
            f"The servers have {len(tools)} tools, of which the first {MAX_TOOLS} are offered. "
            "Name fewer in allowed_tools and ask_tools."
        )
    return Pins(definitions[:MAX_TOOLS], tools[:MAX_TOOLS], warnings)


def tool_names(server: str, names: Sequence[str]) -> Sequence[str]:
    """Return the names that the model gets: `mcp__<server>__<tool>`, unique, in the API's alphabet.

    A name with other characters, or one that is too long, ends in a part of its hash. The result
    does not depend on the order of the names.
    """
    plain = {name: f"{PREFIX}{server}__{name}" for name in names}
    taken = {full for full in plain.values() if _is_valid(full)}
    return [
        full if _is_valid(full) else _replacement(full, name, taken) for name, full in plain.items()
    ]


def _is_valid(name: str) -> bool:
    return len(name) <= MAX_NAME and not _DISALLOWED.search(name)


def _replacement(full: str, name: str, taken: Collection[str]) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    for length in range(_HASH_CHARACTERS, len(digest)):
        end = f"_{digest[:length]}"
        found = _DISALLOWED.sub("_", full)[: MAX_NAME - len(end)] + end
        if found not in taken:
            return found
    raise ValueError("a name has the hash of another one")


def _usable(server: ServerTools, warnings: list[str]) -> Iterator[RemoteTool]:
    """Yield the tools that can be offered to a model; the others are left out with a warning."""
    seen: set[str] = set()
    for tool in server.tools:
        problem = "its name is used twice" if tool.name in seen else _schema_problem(tool)
        if problem is None:
            seen.add(tool.name)
            yield tool
        else:
            warnings.append(
                f"The tool {clean(tool.name)!r:.100} of the server {server.key!r} is left out: "
                f"{problem}."
            )


def _schema_problem(tool: RemoteTool) -> str | None:
    """Why the Messages API would refuse every request with this tool, or None."""
    schema = tool.input_schema
    if schema.get("type") != "object":
        return "its input schema is not of the type object"
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        return f"its input schema has more than {MAX_SCHEMA_BYTES // 1024} KiB"
    properties = schema.get("properties", {})
    if not isinstance(properties, Mapping):
        return "its input schema is invalid"
    odd = next((name for name in properties if not _PROPERTY.fullmatch(name)), None)
    if odd is not None:
        return f"the model can't send its argument {clean(odd)!r:.100}"
    return None


def _nothing_offered(server: ServerTools, *, has_tools: bool) -> str:
    if not has_tools:
        return f"The server {server.key!r} has no tools."
    return (
        f"No tool of the server {server.key!r} is offered. Add '{PREFIX}{server.key}__*' to "
        "allowed_tools or ask_tools."
    )


def _definition(name: str, tool: RemoteTool) -> Mapping[str, Any]:
    description = tool.description.strip()
    if len(description) > MAX_DESCRIPTION:
        description = description[: MAX_DESCRIPTION - len(_CUT)] + _CUT
    schema = {key: value for key, value in tool.input_schema.items() if key not in _COMBINATORS}
    return {"name": name, "description": clean(description), "input_schema": schema}


def _pin_tool(
    name: str, tool: RemoteTool, server: ServerTools, definition: Mapping[str, Any]
) -> PinnedTool:
    is_whole = definition["input_schema"] == tool.input_schema
    return PinnedTool(
        name=name,
        server=server.key,
        remote_name=tool.name,
        sha256=tool.sha256,
        effect=tool.effect(is_trusted=server.is_trusted),
        server_id=server.server_id,
        input_schema=None if is_whole else tool.input_schema,
    )


def _describe_tool(tool: PinnedTool) -> dict[str, Any]:
    stored: dict[str, Any] = {
        "name": tool.name,
        "server": tool.server,
        "remote_name": tool.remote_name,
        "sha256": tool.sha256,
        "effect": tool.effect,
    }
    if tool.server_id is not None:
        stored["server_id"] = str(tool.server_id)
    if tool.input_schema is not None:
        stored["input_schema"] = tool.input_schema
    return stored
