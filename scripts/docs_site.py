"""Writes the reference pages of API, MCP tools and command line from the code.

Usage: `python scripts/docs_site.py`. The pages are in `docs/reference/`, which git ignores.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from itertools import starmap
from pathlib import Path
from typing import Any, get_args

import typer
from typer.cli import get_docs_for_click

from api.main import create_app
from api.mcp.catalogue import CATALOGUE
from api.mcp.errors import list_codes
from api.mcp.registry import AgentTool, Group
from cli.main import app as command_line
from runtime.settings import Settings

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMAS = "#/components/schemas/"
TYPES = "schemas.md"
REPOSITORY = Path(__file__).parents[1]
REFERENCE = REPOSITORY / "docs" / "reference"
CONFIGURATION = REPOSITORY / "zensical.toml"


def main() -> None:
    """Write all pages anew, and require that the navigation lists them."""
    shutil.rmtree(REFERENCE, ignore_errors=True)
    pages = {"mcp-tools.md": mcp_reference(), **cli_reference(), **api_reference()}
    navigation = CONFIGURATION.read_text("utf-8")
    missing = [path for path in pages if f'"reference/{path}"' not in navigation]
    if missing:
        raise SystemExit(f"Add these pages to nav in {CONFIGURATION.name}: {', '.join(missing)}.")
    for path, text in pages.items():
        page = REFERENCE / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, "utf-8")


def cli_reference() -> dict[str, str]:
    """A page for each group of commands, and one for the commands without a group."""
    group = typer.main.get_command(command_line)
    text: str = get_docs_for_click(obj=group, ctx=typer.Context(group), name="perdure")
    general, *commands = re.split(r"^(?=## `perdure )", text, flags=re.MULTILINE)
    pages = {"cli/index.md": general.replace("# `perdure`", "# Command line", 1)}
    for command in commands:
        name = command.split("`", 2)[1].removeprefix("perdure ")
        if "\n### `" in command:
            pages[f"cli/{name}.md"] = command[1:].replace("\n### `", "\n## `")
        else:
            pages["cli/index.md"] += command
    return pages


def mcp_reference() -> str:
    """Every tool of the MCP server by its group, then the error codes."""
    parts = [
        "# MCP tools\n",
        (
            "The tools of the [MCP server](../guides/mcp-server.md). Arguments with * are needed. "
            "Clients read the complete schemas of arguments and results from `tools/list`."
        ),
    ]
    for group in get_args(Group):
        tools = list(CATALOGUE.list_tools(frozenset({group})))
        if tools:
            parts += [f"\n## Group {group}\n", *map(_tool, tools)]
    parts += ["\n## Error codes\n", "| code | what to do |", "|---|---|"]
    parts += [f"| `{code}` | {advice} |" for code, advice in list_codes().items()]
    return "\n".join(parts)


def _tool(tool: AgentTool[Any, Any]) -> str:
    definition = tool.definition
    schema = definition.input_schema
    named = {**schema, "properties": _resolve(schema)}
    result = (definition.output_schema or {}).get("properties", {})
    lines = [_schema(tool.name, {**named, "description": tool.description})]
    lines.append(f"Returns: {', '.join(f'`{name}`' for name in result)}.\n")
    return "\n".join(lines)


def _resolve(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The properties, with the name of the type in place of a reference."""
    found = {}
    for name, about in schema.get("properties", {}).items():
        text = json.dumps(about)
        is_reference = "$ref" in text
        found[name] = {"type": "object", **_describe(about)} if is_reference else about
    return found


def _describe(about: Mapping[str, Any]) -> dict[str, Any]:
    return {key: about[key] for key in ("description", "default") if key in about}


def api_reference() -> dict[str, str]:
    """A page for the routes of each tag, and one for the schemas."""
    settings = Settings.model_validate(
        {"database_url": "postgresql://localhost/unused", "jwt_secret": "x" * 32}
    )
    document = create_app(settings).openapi()
    info = document["info"]
    served = "\nA running gateway has this at `/openapi.json`, and browsable at `/docs`.\n"
    schemas = document["components"]["schemas"]
    pages = {
        "api/index.md": "\n".join(["# API\n", info["description"], served]),
        "api/schemas.md": "\n".join(["# Schemas\n", *starmap(_schema, sorted(schemas.items()))]),
    }
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                tag = (operation.get("tags") or ["health"])[0]
                page = f"api/{tag.lower().replace(' ', '-')}.md"
                text = pages.get(page, f"# {tag[0].upper()}{tag[1:]}\n")
                pages[page] = f"{text}\n{_operation(method, path, operation)}"
    return pages


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    name = operation["operationId"].replace("_", " ").capitalize()
    address = f"```http\n{method.upper()} {path}\n```\n"
    lines = [f"## {name}\n", address, operation.get("description", ""), ""]
    parameters = operation.get("parameters", ())
    if parameters:
        lines += ["| parameter | in | type | |", "|---|---|---|---|"]
        lines += [
            f"| `{p['name']}` | {p['in']} | {_type(p.get('schema', {}))} | {_cell(p)} |"
            for p in parameters
        ]
        lines.append("")
    body = operation.get("requestBody", {}).get("content", {})
    lines += [f"Body: {_type(c.get('schema', {}))}\n" for c in body.values()]
    answers = "; ".join(_answers(operation["responses"]))
    return "\n".join([*lines, f"Answers: {answers}\n"])


def _answers(responses: Mapping[str, Any]) -> Iterator[str]:
    for status, response in responses.items():
        types = {_type(c.get("schema", {})) for c in response.get("content", {}).values()}
        named = sorted(t for t in types if t.startswith("["))
        yield f"{status} {' or '.join(named)}".rstrip()


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    lines = [f"### {name}\n", schema.get("description", ""), ""]
    if "properties" not in schema:
        return "\n".join([*lines, f"{_type(schema)}\n"])
    required = set(schema.get("required", ()))
    lines += ["| field | type | |", "|---|---|---|"]
    lines += [
        f"| `{field}`{' *' if field in required else ''} | {_type(about)} | {_cell(about)} |"
        for field, about in schema["properties"].items()
    ]
    return "\n".join([*lines, ""])


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(SCHEMAS)
        return f"[{name}]({TYPES}#{name.lower()})"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(s) for s in schema[several]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(v)}`" for v in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    kind = schema.get("format") or schema.get("type", "any")
    return kind if isinstance(kind, str) else " or ".join(kind)


def _cell(about: Mapping[str, Any]) -> str:
    text = str(about.get("description", ""))
    if "default" in about:
        text = f"{text} Default: `{json.dumps(about['default'])}`.".strip()
    return text.replace("\n", " ").replace("|", "\\|")


if __name__ == "__main__":
    main()
