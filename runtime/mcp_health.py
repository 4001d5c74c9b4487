"""Checks whether an MCP server answers: the handshake of streamable HTTP, and nothing else.

By the specification of 2025-06-18: `initialize` by POST; the response is JSON, or an event stream
that contains it; a session that was opened is closed again.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from domain.errors import AddressRefusedError, OutboundError
from domain.mcp_health import McpHealth
from domain.text import clean
from runtime.outbound import BODY_LIMIT_BYTES, Outbound

PROTOCOL = "2025-06-18"
TIMEOUT = timedelta(seconds=10)
"""A person waits for the result; a server that takes longer is no use to an agent (chosen)."""

MAX_TEXT_CHARACTERS = 200
"""Of each text in which a server describes itself (chosen)."""

MAX_CAPABILITIES = 20
"""Shown of those that a server offers (chosen)."""

_REQUEST = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": PROTOCOL,
        "capabilities": {},
        "clientInfo": {"name": "perdure", "version": "1"},
    },
}
_SESSION_ID = re.compile(r"[\x21-\x7e]{1,1024}")
"""Visible ASCII, by the specification; the length is chosen."""

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


async def check_health(outbound: Outbound, url: str, headers: Mapping[str, str]) -> McpHealth:
    """Send `initialize` to the server. Every failure is a result, not an error."""
    started_at = time.monotonic()
    content = json.dumps(_REQUEST).encode()
    try:
        async with outbound.stream(
            "POST", url, headers={**headers, **_HEADERS}, content=content, timeout=TIMEOUT
        ) as response:
            if not response.is_success:
                detail = f"The server returned HTTP status {response.status_code}."
                return McpHealth(is_healthy=False, detail=detail)
            media_type = response.headers.get("content-type", "")
            is_stream = "event-stream" in media_type
            message = await _read_message(response.aiter_raw(), is_stream=is_stream)
            session_id = _session_id(response.headers)
    except (AddressRefusedError, OutboundError) as error:
        return McpHealth(is_healthy=False, detail=error.detail)
    latency_ms = round((time.monotonic() - started_at) * 1000)
    if session_id:
        await _close_session(outbound, url, {**headers, "Mcp-Session-Id": session_id})
    return _health_of(message, latency_ms)


def _session_id(headers: Mapping[str, str]) -> str | None:
    """Return the id of the session that was opened, if it is one that can be sent back."""
    session_id = headers.get("mcp-session-id", "")
    return session_id if _SESSION_ID.fullmatch(session_id) else None


async def _close_session(outbound: Outbound, url: str, headers: Mapping[str, str]) -> None:
    """Close the session. Servers need not support this, and let sessions expire anyway."""
    try:
        await outbound.send("DELETE", url, headers=headers, timeout=TIMEOUT)
    except (AddressRefusedError, OutboundError):
        return


async def _read_message(chunks: AsyncIterator[bytes], *, is_stream: bool) -> Any:
    """Return the JSON-RPC message in the response, or None if there is none within the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return None
        if is_stream and (message := _find_response(bytes(body))) is not None:
            return message
    return _find_response(bytes(body) + b"\n\n") if is_stream else _parse(bytes(body))


def _find_response(body: bytes) -> Any:
    """Return the first response among the complete events of the stream."""
    lines = body.replace(b"\r\n", b"\n")
    *events, _ = lines.split(b"\n\n")
    for event in events:
        data = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
        message = _parse(b"\n".join(data))
        if isinstance(message, dict) and message.get("id") == _REQUEST["id"]:
            return message
    return None


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _health_of(message: Any, latency_ms: int) -> McpHealth:
    result = message.get("result") if isinstance(message, dict) else None
    if isinstance(result, dict) and isinstance(result.get("serverInfo"), dict):
        info, capabilities = result["serverInfo"], result.get("capabilities")
        texts = {name: _text(info[name]) for name in ("name", "title", "version") if name in info}
        offered = sorted(capabilities) if isinstance(capabilities, dict) else []
        offered = [_text(name) for name in offered[:MAX_CAPABILITIES]]
        return McpHealth(
            is_healthy=True,
            latency_ms=latency_ms,
            server_info={**texts, "capabilities": offered},
            protocol_version=_text(result.get("protocolVersion")),
        )
    error = message.get("error") if isinstance(message, dict) else None
    if isinstance(error, dict):
        detail = f"The server returned an error: {_text(error.get('message'))}"
    else:
        detail = "The response is not a valid MCP response; check the URL."
    return McpHealth(is_healthy=False, detail=detail, latency_ms=latency_ms)


def _text(value: Any) -> str:
    return clean(str(value))[:MAX_TEXT_CHARACTERS]
