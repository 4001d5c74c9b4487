"""Files in which other programs list MCP servers: JSON with comments, in several shapes."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_library.documents import DocumentError, read_json
from cli.connection.client import Json
from cli.definitions.files import DefinitionError, read_text
from domain.agents.agent import SLUG, slug_of

WRAPPERS = ("mcpServers", "servers", "mcp_servers", "context_servers")
"""Where the servers are: in files of Claude Code, Claude Desktop and Cursor, of VS Code, others."""

_SPELLINGS = {
    "serverUrl": "url",
    "httpUrl": "url",
    "transport": "type",
    "environment": "env",
}
"""Fields of other programs that mean the same as ours."""

_FIELDS = frozenset({"type", "description", "url", "command", "args", "headers", "env"})

_REFUSED = {
    "envFile": "Perdure does not read files of variables; write the variables under env.",
    "headersHelper": "Perdure runs no command for headers; write the headers themselves.",
    "cwd": "Perdure starts servers in the task's workspace; leave cwd out.",
    "oauth": "Perdure cannot sign in with a browser; register the server with `auth` instead.",
}
"""Fields without which a server would not work as its file says."""

_COMMENTS = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMAS = re.compile(r'"(?:[^"\\\n]|\\.)*"|,(?=\s*[}\]])')


@dataclass(frozen=True, slots=True)
class ListedServer:
    """A server as a file lists it. `name` is its name for Perdure, `label` that in the file."""

    name: str
    label: str
    body: Json
    ignored: Sequence[str]
    problems: Sequence[str]


def read_servers(path: Path) -> Sequence[ListedServer]:
    """Read the servers that a file lists and does not disable.

    Raises:
        DefinitionError: the file can't be read, or lists no servers.
    """
    text = _blank(_TRAILING_COMMAS, _blank(_COMMENTS, read_text(path)))
    try:
        value = read_json(text).value
    except DocumentError as error:
        raise DefinitionError(f"{path}:{error.line}: {error}") from error
    servers = _find_servers(value)
    if not servers:
        raise DefinitionError(
            f'{path} lists no MCP servers: write {{"mcpServers": {{"NAME": {{…}}}}}}.'
        )
    found = [_read_server(label, entry) for label, entry in servers.items()]
    return list(_without_repeated_names(server for server in found if server is not None))


def _blank(pattern: re.Pattern[str], text: str) -> str:
    """Replace what the pattern matches outside strings by blanks; line breaks stay."""

    def replace(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])

    return pattern.sub(replace, text)


def _find_servers(value: Any) -> Mapping[str, Any]:
    """The servers by name; empty if there are none."""
    if not isinstance(value, dict):
        return {}
    for wrapper in WRAPPERS:
        if isinstance(value.get(wrapper), dict):
            servers: Mapping[str, Any] = value[wrapper]
            return servers
    if isinstance(value.get("mcp"), dict):  # the settings of VS Code
        return _find_servers(value["mcp"])
    is_plain = all(isinstance(entry, dict) and _is_server(entry) for entry in value.values())
    return value if is_plain else {}


def _is_server(entry: Mapping[str, Any]) -> bool:
    return bool({_SPELLINGS.get(key, key) for key in entry} & {"url", "command"})


def _read_server(label: str, entry: Any) -> ListedServer | None:
    """Return one server, or None if its entry disables it."""
    name = label if re.fullmatch(SLUG, label) else slug_of(label)
    problems = [] if name else [f"{label!r} has no letters or digits to name the server by."]
    if not isinstance(entry, dict):
        return ListedServer(name, label, {}, (), [*problems, "This is no server: write an object."])
    if entry.get("disabled") is True or entry.get("enabled") is False:
        return None
    body: Json = {}
    ignored = []
    for key, value in entry.items():
        field = _SPELLINGS.get(key, key)
        if field in _FIELDS:
            body[field] = value
        elif key in _REFUSED:
            problems.append(f"{key}: {_REFUSED[key]}")
        else:
            ignored.append(key)
    return ListedServer(name, label, {"name": name, **body}, ignored, problems)


def _without_repeated_names(servers: Iterator[ListedServer]) -> Iterator[ListedServer]:
    seen: dict[str, str] = {}
    for server in servers:
        if (earlier := seen.setdefault(server.name, server.label)) != server.label:
            problem = f"{earlier!r} gets the same name; rename one of them in the file."
            yield ListedServer(server.name, server.label, server.body, (), [problem])
        else:
            yield server
