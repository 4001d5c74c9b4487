"""The tool `http_request`."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.calls import OnStarted, SavedFile, ToolEffect, ToolInvocation, ToolOutcome
from domain.web.calls import HTTP_REQUEST, IDEMPOTENCY_KEY, request_effect
from domain.web.urls import parse_url
from tools.file_names import choose_name, last_part, usable_media_type
from tools.limits import ToolLimits, describe_size
from tools.network import journal_of
from tools.output import Spool, encode, show
from tools.paths import Workspace
from tools.web.access import WebAccess
from tools.web.bodies import SecretMask, spool_body
from tools.web.charsets import decode_text
from tools.web.exchanges import Arrived, Exchange
from tools.web.redirects import WebRequest

_SECONDS = 60.0
"""Of one call by default, with its redirects (chosen: most APIs answer in seconds)."""

_HEADER_CHARACTERS = 4000
"""Of the headers that the model reads (chosen: usual responses have a thousand)."""


class HttpRequests:
    """Sends requests for all executions of a worker."""

    def __init__(self, access: WebAccess, limits: ToolLimits) -> None:
        """`access` decides which addresses are reached."""
        self._access = access
        self._limits = limits

    async def run(
        self, workspace: Workspace, invocation: ToolInvocation, on_started: OnStarted
    ) -> ToolOutcome:
        """Send a request and return the response. Its start is recorded before it is sent."""
        tool_input = invocation.input
        effect = request_effect(BUILTIN_TOOLS[HTTP_REQUEST], tool_input)

        async def record_start() -> None:
            await on_started(None)

        exchange = Exchange(self._access, invocation, tool_input.get("timeout_seconds", _SECONDS))
        if effect is not ToolEffect.READ_ONLY:
            exchange.before_sending = record_start
            exchange.journal = journal_of(workspace.private, invocation)
        return await exchange.record(self._send(workspace, exchange))

    async def _send(self, workspace: Workspace, exchange: Exchange) -> ToolOutcome:
        most, secrets = self._limits.stored_bytes(workspace.user_room), exchange.secrets
        with Spool(workspace.private, most) as spool:
            async with exchange.send(_request(exchange.invocation.input)) as arrived:
                is_cut = await spool_body(arrived.response, spool, most, secrets)
            mask = SecretMask(secrets)
            return await asyncio.to_thread(self._outcome, arrived, spool, mask, is_cut=is_cut)

    def _outcome(
        self, arrived: Arrived, spool: Spool, mask: SecretMask, *, is_cut: bool
    ) -> ToolOutcome:
        shown = show(spool, self._limits.preview_bytes)
        text, file = shown.text, None
        if shown.is_whole:
            text = decode_text(spool.path.read_bytes(), arrived.response.charset_encoding)
        else:
            file = _name_file(spool.save(is_text=shown.is_text), arrived)
            text += f"\n(The body is saved as the artifact {file.name}.)"
        if is_cut:
            limit = describe_size(spool.stored_bytes)
            text += f"\n(The body has more than {limit}; the rest was not read.)"
        head = mask.text(f"{arrived.describe()}\n{_headers(arrived)}")
        return ToolOutcome(f"{head}\n\n{text or '(no body)'}", whole_output=file)


def _request(tool_input: Mapping[str, Any]) -> WebRequest:
    headers = dict(tool_input.get("headers", {}))
    if "idempotency_key" in tool_input:
        headers[IDEMPOTENCY_KEY] = tool_input["idempotency_key"]
    content: bytes | None = None
    if "json" in tool_input:
        content = json.dumps(tool_input["json"]).encode()
        if "content-type" not in map(str.lower, headers):
            headers["Content-Type"] = "application/json"
    elif "body" in tool_input:
        content = encode(tool_input["body"])
    method = tool_input.get("method", "GET")
    return WebRequest(method, parse_url(tool_input["url"]), headers, content)


def _headers(arrived: Arrived) -> str:
    lines = [f"{name}: {value}" for name, value in arrived.response.headers.multi_items()]
    text = "\n".join(lines)
    return text if len(text) <= _HEADER_CHARACTERS else f"{text[:_HEADER_CHARACTERS]}…"


def _name_file(file: SavedFile, arrived: Arrived) -> SavedFile:
    """The stored body with a name and a type for people."""
    media_type = usable_media_type(arrived.media_type or file.media_type)
    name = choose_name(last_part(str(arrived.request.url)) or "response", media_type)
    return replace(file, name=name, media_type=media_type)
