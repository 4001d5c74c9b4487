"""MkDocs hook: generates the reference pages of API, MCP tools and command line from the code."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from api.main import create_app
from api.mcp.catalogue import CATALOGUE
from api.mcp.errors import list_codes
from api.mcp.registry import AgentTool, Group
from cli.main import app as command_line
from runtime.settings import Settings

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMAS = "#/components/schemas/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for path, text in (
        ("reference/api.md", api_reference()),
        ("reference/cli.md", cli_reference()),
        ("reference/mcp-tools.md", mcp_reference()),
    ):
        files.append(File.generated(config, path, content=text))
    return files


def cli_reference() -> str:
    """Every command with its options."""
    group = typer.main.get_command(command_line)
    text: str = get_docs_for_click(obj=group, ctx=typer.Context(group), name="perdure")
    return text.replace("# `perdure`", "# Command line", 1)


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
        tools = list(CATALOGUE.offered(frozenset({group})))
        if tools:
            parts += [f"\n## Group {group}\n", *map(_tool, tools)]
    parts += ["\n## Error codes\n", "| code | what to do |", "|---|---|"]
    parts += [f"| `{code}` | {advice} |" for code, advice in list_codes().items()]
    return "\n".join(parts)


def _tool(tool: AgentTool[Any, Any]) -> str:
    definition = tool.definition
    schema = definition.input_schema
    named = {**schema, "properties": _resolved(schema)}
    result = (definition.output_schema or {}).get("properties", {})
    lines = [_schema(tool.name, {**named, "description": tool.description})]
    lines.append(f"Returns: {', '.join(f'`{name}`' for name in result)}.\n")
    return "\n".join(lines)


def _resolved(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The properties, with the name of the type in place of a reference."""
    found = {}
    for name, about in schema.get("properties", {}).items():
        text = json.dumps(about)
        is_reference = "$ref" in text
        found[name] = {"type": "object", **_described(about)} if is_reference else about
    return found


def _described(about: Mapping[str, Any]) -> dict[str, Any]:
    return {key: about[key] for key in ("description", "default") if key in about}


def api_reference() -> str:
    """Every route by its tag, then every schema."""
    settings = Settings.model_validate(
        {"database_url": "postgresql://localhost/unused", "jwt_secret": "x" * 32}
    )
    document = create_app(settings).openapi()
    info = document["info"]
    parts = ["# API\n", info["description"], "\nA running gateway has this at `/openapi.json`.\n"]
    by_tag: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                tag = (operation.get("tags") or ["health"])[0]
                by_tag.setdefault(tag, []).append(_operation(method, path, operation))
    for tag, operations in by_tag.items():
        parts += [f"\n## {tag.replace('-', ' ').capitalize()}\n", *operations]
    parts.append("\n## Schemas\n")
    parts += [_schema(n, s) for n, s in sorted(document["components"]["schemas"].items())]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    name = operation["operationId"].replace("_", " ").capitalize()
    address = f"```http\n{method.upper()} {path}\n```\n"
    lines = [f"### {name}\n", address, operation.get("description", ""), ""]
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
        return f"[{name}](#{name.lower()})"
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
