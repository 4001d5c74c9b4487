"""The tools, resources and prompts that the conformance suite wants, on top of our own server.

They use our transports, sessions, seals and limits; our own tools, resources and prompts stay.
"""

import json
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError
from mcp.types import (
    CallToolRequestParams,
    CompleteRequestParams,
    EmptyResult,
    GetPromptRequestParams,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    SetLevelRequestParams,
)

from api.mcp.catalogue import CATALOGUE
from api.mcp.context import call_of
from api.mcp.groups import groups_of

Context = ServerRequestContext[Any, Any]
Json = dict[str, Any]

PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJ"
    "RU5ErkJggg=="
)
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="
IMAGE = {"type": "image", "data": PNG, "mimeType": "image/png"}
MIXED = {"uri": "test://mixed", "mimeType": "application/json", "text": '{"test": "data"}'}
EMBEDDED = {"uri": "test://embedded", "mimeType": "text/plain", "text": "An embedded resource."}

CONTENT: dict[str, list[Json]] = {
    "test_simple_text": [{"type": "text", "text": "This is a simple text response for testing."}],
    "test_image_content": [IMAGE],
    "test_audio_content": [{"type": "audio", "data": WAV, "mimeType": "audio/wav"}],
    "test_embedded_resource": [{"type": "resource", "resource": EMBEDDED}],
    "test_multiple_content_types": [
        {"type": "text", "text": "Multiple content types test:"},
        IMAGE,
        {"type": "resource", "resource": MIXED},
    ],
    "test_error_handling": [{"type": "text", "text": "This tool intentionally returns an error"}],
}

DEFAULTS = {
    "name": {"type": "string", "default": "John Doe"},
    "age": {"type": "integer", "default": 30},
    "score": {"type": "number", "default": 95.5},
    "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
    "verified": {"type": "boolean", "default": True},
}
OPTIONS = ["option1", "option2", "option3"]
TITLED = [{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}]
ENUMS = {
    "untitledSingle": {"type": "string", "enum": OPTIONS},
    "titledSingle": {"type": "string", "oneOf": TITLED},
    "legacyEnum": {"type": "string", "enum": ["opt1", "opt2"], "enumNames": ["One", "Two"]},
    "untitledMulti": {"type": "array", "items": {"type": "string", "enum": OPTIONS}},
    "titledMulti": {"type": "array", "items": {"anyOf": TITLED}},
}
USER = {
    "username": {"type": "string", "description": "User's response"},
    "email": {"type": "string", "description": "User's email address"},
}
FORMS: dict[str, Json] = {
    "test_elicitation": USER,
    "test_elicitation_sep1034_defaults": DEFAULTS,
    "test_elicitation_sep1330_enums": ENUMS,
}


def form(message: str, name: str, kind: str = "string") -> Json:
    """A request for a form with one field."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return {
        "method": "elicitation/create",
        "params": {"message": message, "requestedSchema": schema},
    }


def sample(text: str, tokens: int) -> Json:
    """A request for an answer of the client's model."""
    message = {"role": "user", "content": {"type": "text", "text": text}}
    params = {"messages": [message], "maxTokens": tokens}
    return {"method": "sampling/createMessage", "params": params}


ROOTS: Json = {"method": "roots/list", "params": {}}
NAME = form("What is your name?", "name")

ROUNDS: dict[str, list[Json]] = {
    "test_input_required_result_elicitation": [{"user_name": NAME}],
    "test_input_required_result_sampling": [
        {"capital_question": sample("What is the capital of France?", 100)}
    ],
    "test_input_required_result_list_roots": [{"client_roots": ROOTS}],
    "test_input_required_result_request_state": [{"confirm": form("Confirm", "ok", "boolean")}],
    "test_input_required_result_tampered_state": [{"confirm": form("Confirm", "ok", "boolean")}],
    "test_input_required_result_multiple_inputs": [
        {"user_name": NAME, "greeting": sample("Generate a greeting", 50), "client_roots": ROOTS}
    ],
    "test_input_required_result_multi_round": [
        {"step1": form("Step 1: What is your name?", "name")},
        {"step2": form("Step 2: What is your favorite color?", "color")},
    ],
    "test_input_required_result_capabilities": [
        {"user_name": NAME, "capital_question": sample("What is the capital of France?", 100)}
    ],
    "test_streaming_elicitation": [{"user_name": NAME}],
    "test_input_required_result_prompt": [{"user_context": form("Which context?", "context")}],
}
"""The questions of each round, by the tool or prompt that asks them."""

NEEDED = {
    "elicitation/create": "elicitation",
    "sampling/createMessage": "sampling",
    "roots/list": "roots",
}


def ask(ctx: Context, name: str, answers: Json | None, state: str | None) -> Json | None:
    """The next round of questions that the client can answer; None after the last one."""
    rounds = ROUNDS[name]
    position = int(state or 0)
    if answers and set(rounds[position]) <= set(answers):
        position += 1
    if position == len(rounds):
        return None
    declared = ctx.session.client_capabilities
    known = {
        key: request
        for key, request in rounds[position].items()
        if declared is not None and getattr(declared, NEEDED[request["method"]]) is not None
    }
    return {"resultType": "input_required", "inputRequests": known, "requestState": str(position)}


def text(content: str) -> Json:
    """A result of text."""
    return {"content": [{"type": "text", "text": content}]}


async def call(ctx: Context, params: CallToolRequestParams) -> Json | None:
    """The result of a fixture; None for the name of another tool."""
    name, session = params.name, ctx.session
    if name in CONTENT:
        return {"content": CONTENT[name], "isError": name == "test_error_handling"}
    if name in ROUNDS:
        await session.report_progress(1)
        answers = params.input_responses
        return ask(ctx, name, answers, params.request_state) or text(f"state-ok {answers}")
    if name == "test_missing_capability":
        needed: Json = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(-32021, "This tool needs sampling.", needed)
    if name == "test_tool_with_progress":
        for progress in (0, 50, 100):
            await session.report_progress(progress, 100)
        return text("done")
    if name in {"test_tool_with_logging", "test_logging_tool"}:
        for step in ("started", "processing data", "completed"):
            with warnings.catch_warnings(action="ignore"):  # the SDK discourages log messages
                await session.send_log_message(
                    "info", f"Tool execution {step}", related_request_id=ctx.request_id
                )
        return text("done")
    return await ask_during_call(ctx, params)


async def ask_during_call(ctx: Context, params: CallToolRequestParams) -> Json | None:
    """As `call`, for tools that send requests to clients of an older revision."""
    name, session = params.name, ctx.session
    if name in FORMS:
        schema = {"type": "object", "properties": FORMS[name], "required": list(FORMS[name])[:2]}
        answer = await session.elicit_form("Please answer", schema, ctx.request_id)
        return text(f"{answer.action}: {json.dumps(answer.content)}")
    if name == "test_sampling":
        message = sample(str((params.arguments or {}).get("prompt")), 100)
        result = await session._request_outbound.send_raw_request(
            message["method"], message["params"]
        )
        return text(f"LLM response: {result['content']['text']}")
    return None


async def read(_: Context, params: ReadResourceRequestParams) -> Json | None:
    """A static resource, or one of a template."""
    uri = params.uri
    if uri == "test://static-text":
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": "A static text."}]}
    if uri == "test://static-binary":
        return {"contents": [{"uri": uri, "mimeType": "image/png", "blob": PNG}]}
    if uri.startswith("test://template/"):
        key = uri.split("/")[3]
        return {"contents": [{"uri": uri, "mimeType": "application/json", "text": f'"{key}"'}]}
    return None


async def prompt(ctx: Context, params: GetPromptRequestParams) -> Json | None:
    """A prompt of text, an argument, a resource or an image."""
    given = params.arguments or {}
    contents: dict[str, list[Json]] = {
        "test_simple_prompt": [{"type": "text", "text": "A simple prompt."}],
        "test_prompt_with_arguments": [{"type": "text", "text": f"Arguments: {given}"}],
        "test_prompt_with_embedded_resource": [
            {"type": "resource", "resource": {**EMBEDDED, "uri": given.get("resourceUri", "a:b")}},
            {"type": "text", "text": "Use the resource."},
        ],
        "test_prompt_with_image": [IMAGE, {"type": "text", "text": "Describe the image."}],
        "test_input_required_result_prompt": [{"type": "text", "text": "A context."}],
    }
    if params.name not in contents:
        return None
    if params.name in ROUNDS:
        asked = ask(ctx, params.name, params.input_responses, params.request_state)
        if asked:
            return asked
    return {"messages": [{"role": "user", "content": one} for one in contents[params.name]]}


async def complete(_: Context, params: CompleteRequestParams) -> Json | None:
    """Values for the argument of a fixture."""
    if getattr(params.ref, "name", None) != "test_prompt_with_arguments":
        return None
    return {"completion": {"values": ["paris", "park"], "total": 2, "hasMore": False}}


async def list_tools(ctx: Context, _: PaginatedRequestParams) -> Json | None:
    """Our tools, and the names of the fixtures by which the suite decides what it can check."""
    ours = CATALOGUE.list_tools(groups_of(call_of(ctx)))
    listed = [tool.definition.model_dump(by_alias=True, exclude_none=True) for tool in ours]
    diagnostic = ("test_missing_capability", "test_streaming_elicitation", "test_logging_tool")
    schema = {"type": "object"}
    listed += [
        {"name": name, "description": "A fixture.", "inputSchema": schema} for name in diagnostic
    ]
    return {"tools": listed}


async def set_level(_: Context, __: SetLevelRequestParams) -> EmptyResult:
    """Accept any level: the fixtures send all messages."""
    return EmptyResult()


def add_fixtures(server: Server[Any]) -> None:
    """Answer requests for fixtures, and leave all others to the server."""
    _extend(server, "tools/list", PaginatedRequestParams, list_tools)
    _extend(server, "completion/complete", CompleteRequestParams, complete)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    _extend(server, "tools/call", CallToolRequestParams, call)
    _extend(server, "resources/read", ReadResourceRequestParams, read)
    _extend(server, "prompts/get", GetPromptRequestParams, prompt)


def _extend(
    server: Server[Any],
    method: str,
    params_type: type[Any],
    answer: Callable[[Context, Any], Awaitable[Json | None]],
) -> None:
    ours = server.get_request_handler(method)
    assert ours is not None

    async def handle(ctx: Context, params: Any) -> Any:
        if (result := await answer(ctx, params)) is not None:
            return {"resultType": "complete", **result}
        return await ours.handler(ctx, params)

    server.add_request_handler(method, params_type, handle)
