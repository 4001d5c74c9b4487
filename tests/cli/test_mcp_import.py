"""`perdure mcp-servers import`: files of other programs, at a real gateway."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cli.definitions.files import DefinitionError
from cli.mcp.files import read_servers
from tests.cli.conftest import Command
from tests.cli.runner import parse_json

CANARY = "canary-77ab"
CLAUDE_CODE = """\
{
  "mcpServers": {
    "GitHub": {
      "type": "http",
      "url": "${GITHUB_BASE:-https://mcp.example.com}/mcp",
      "headers": {"Authorization": "Bearer ${GITHUB_PAT}", "X-Org": "acme"},
      "alwaysAllow": ["search"]
    },
    "notes": {"url": "https://notes.example.com/mcp", "headers": {"X-Key": "k-${GITHUB_PAT}"}},
    "old": {"url": "https://old.example.com/mcp", "disabled": true}
  }
}
"""
VS_CODE = """\
{
  // What the editor asks for.
  "inputs": [{"type": "promptString", "id": "shop-key", "password": true}],
  "servers": {
    /* A shop. */
    "shop": {"type": "http", "url": "https://shop.example.com/a//b", "headers": {
      "X-Api-Key": "${input:shop-key}",
    }},
  },
}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / ".mcp.json"
    path.write_text(CLAUDE_CODE)
    return path


async def read_stored(perdure: Command, what: str) -> Mapping[str, Any]:
    listed = parse_json(await perdure(what, "list", "--json"))
    return {item["name"]: item for item in listed}


async def test_servers_are_stored_with_their_variables_as_secrets(
    perdure: Command, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_PAT", CANARY)
    shown = await perdure("mcp-servers", "import", str(file), "--dry-run")
    assert shown.returncode == 0, shown.output
    assert "github_pat from GITHUB_PAT, only for mcp.example.com" in shown.stdout
    assert "ignored: alwaysAllow" in shown.stdout
    undecided = await perdure("mcp-servers", "import", str(file), "--yes")
    assert (undecided.returncode, "--secrets" in undecided.stderr) == (2, True)
    assert await read_stored(perdure, "mcp-servers") == {}

    made = await perdure("mcp-servers", "import", str(file), "--yes", "--secrets")

    assert made.returncode == 0, made.output
    servers = await read_stored(perdure, "mcp-servers")
    assert servers.keys() == {"github", "notes"}
    assert servers["github"]["url"] == "https://mcp.example.com/mcp"
    assert servers["github"]["headers"] == {
        "Authorization": "Bearer secret://github_pat",
        "X-Org": "********",
    }
    assert servers["notes"]["headers"] == {"X-Key": "secret://notes-x-key"}
    secrets = await read_stored(perdure, "secrets")
    assert secrets["github_pat"]["hosts"] == ["mcp.example.com"]
    assert secrets["notes-x-key"]["hosts"] == ["notes.example.com"]
    assert CANARY not in shown.output + undecided.output + made.output


async def test_what_is_missing_or_exists_is_refused_by_name_and_nothing_is_stored(
    perdure: Command, file: Path
) -> None:
    unset = await perdure("mcp-servers", "import", str(file), "--yes", "--secrets")
    assert unset.returncode == 2
    assert "GITHUB_PAT has no value" in unset.stderr
    assert "perdure secrets set github_pat --host mcp.example.com" in unset.stderr
    assert await read_stored(perdure, "mcp-servers") == {}
    assert await read_stored(perdure, "secrets") == {}

    await perdure("secrets", "set", "github_pat", "--host", "mcp.example.com", typed=CANARY)
    only = ("--only", "GitHub", "--yes")
    other = await perdure("mcp-servers", "import", str(file), "--only", "notes", "--yes")
    assert "GITHUB_PAT has no value" in other.stderr
    made = await perdure("mcp-servers", "import", str(file), *only)
    assert made.returncode == 0, made.output
    again = await perdure("mcp-servers", "import", str(file), *only)
    assert (again.returncode, "--replace" in again.stderr) == (2, True)
    kept = await perdure("mcp-servers", "import", str(file), *only, "--keep")
    assert (kept.returncode, "Nothing to store" in kept.stdout) == (0, True)
    shorter = file.with_name("shorter.json")
    await asyncio.to_thread(shorter.write_text, CLAUDE_CODE.replace(', "X-Org": "acme"', ""))
    replaced = await perdure("mcp-servers", "import", str(shorter), *only, "--replace")
    assert replaced.returncode == 0, replaced.output
    headers = (await read_stored(perdure, "mcp-servers"))["github"]["headers"]
    assert headers == {"Authorization": "Bearer secret://github_pat"}


async def test_a_stored_secret_is_not_opened_for_another_host(perdure: Command, file: Path) -> None:
    await perdure("secrets", "set", "github_pat", "--host", "other.example.com", typed=CANARY)
    result = await perdure("mcp-servers", "import", str(file), "--only", "github", "--yes")
    assert result.returncode == 2
    assert "'github_pat' may not reach mcp.example.com" in result.stderr


async def test_an_editors_inputs_are_secrets_of_the_same_name(
    perdure: Command, tmp_path: Path
) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(VS_CODE)
    await perdure("secrets", "set", "shop-key", "--host", "shop.example.com", typed=CANARY)
    made = await perdure("mcp-servers", "import", str(path), "--yes", "--json")
    assert made.returncode == 0, made.output
    [server] = parse_json(made)["servers"]
    assert (server["url"], server["secrets"]) == ("https://shop.example.com/a//b", ["shop-key"])


async def test_commands_are_an_admins_and_their_secrets_are_bound_to_the_server(
    perdure: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRAVE_API_KEY", CANARY)
    path = tmp_path / "claude_desktop_config.json"
    command = {"command": "npx", "args": ["-y", "brave"], "env": {"KEY": "${BRAVE_API_KEY}"}}
    path.write_text(json.dumps({"mcpServers": {"brave": command}}))
    given = ("mcp-servers", "import", str(path), "--yes", "--secrets")
    refused = await perdure(*given)
    assert (refused.returncode, "admin" in refused.stderr) == (2, True)
    made = await perdure(*given, user="root", role="admin")
    assert made.returncode == 0, made.output
    listed = parse_json(await perdure("secrets", "list", "--json", user="root", role="admin"))
    assert [(s["name"], s["hosts"], s["tools"]) for s in listed] == [
        ("brave_api_key", [], ["mcp__brave"])
    ]


REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "a": ({"url": "https://a.example.com/mcp?key=${API_KEY}"}, "sounds secret"),
    "b": ({"url": "https://${REGION}.example.com/mcp"}, "REGION is not set"),
    "c": ({"type": "sse", "url": "https://a.example.com/sse"}, "streamable HTTP"),
    "d": ({"url": "https://a.example.com/mcp", "headersHelper": "x"}, "headersHelper"),
    "e": ({"url": "http://10.0.0.1/mcp"}, "not a public address"),
    "f": ({"url": "https://a.example.com/${workspaceFolder}/x"}, "workspaceFolder"),
}


async def test_what_cannot_be_kept_is_refused(perdure: Command, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(json.dumps({name: server for name, (server, _) in REFUSED.items()}))
    result = await perdure("mcp-servers", "import", str(path), "--yes")
    assert result.returncode == 2
    refusals = [line for line in result.stderr.splitlines() if line.startswith("refused")]
    for name, (_, problem) in REFUSED.items():
        assert any(f" {name}: " in line and problem in line for line in refusals), name


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"mcpServers": {"a": {"url": "x"}, "a": {"url": "y"}}}', "twice"),
        ('{"mcpServers": {}}', "lists no MCP servers"),
        ('{"theme": "dark"}', "lists no MCP servers"),
        ("{\n// a\n'x'}", r"mcp\.json:3:"),
    ],
)
def test_a_file_without_servers_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(text)
    with pytest.raises(DefinitionError, match=problem):
        read_servers(path)


def test_names_become_names_of_servers_and_are_unique(tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    servers = {name: {"serverUrl": "https://a.example.com"} for name in ("My Shop", "my-shop")}
    path.write_text(json.dumps({"mcp": {"servers": servers}}))
    first, second = read_servers(path)
    assert first.body == {"name": "my-shop", "url": "https://a.example.com"}
    assert "same name" in second.problems[0]
