"""Health check of an MCP server: the handshake of streamable HTTP only.

Follows the specification of 2025-06-18: a POST with `initialize`; the response is JSON or an event
stream; if a session was opened, it is closed.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from domain.errors import AddressRefusedError, OutboundError
from domain.text import clean
from runtime.outbound import BODY_LIMIT_BYTES, Outbound

PROTOCOL = "2025-06-18"
TIMEOUT = timedelta(seconds=10)
"""A user waits for the result; a slower server is not usable (chosen)."""

LONGEST_TEXT = 200
"""Maximum characters of a server's information about itself (chosen)."""

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
"""Visible ASCII, from the specification; the length is chosen."""

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, slots=True)
class Health:
    """The result of a handshake; `detail` is the error message."""

    is_healthy: bool
    detail: str | None = None
    latency_ms: int | None = None
    server_info: Mapping[str, Any] | None = None
    protocol_version: str | None = None


async def handshake(outbound: Outbound, url: str, headers: Mapping[str, str]) -> Health:
    """Check the server. A failure is a result, not an exception."""
    began = time.monotonic()
    content = json.dumps(_REQUEST).encode()
    sent = {**headers, **_HEADERS}
    try:
        async with outbound.stream(
            "POST", url, headers=sent, content=content, timeout=TIMEOUT
        ) as response:
            if not response.is_success:
                return Health(
                    is_healthy=False,
                    detail=f"The server returned HTTP status {response.status_code}.",
                )
            kind = response.headers.get("content-type", "")
            message = await _message(response.aiter_raw(), is_stream="event-stream" in kind)
            session_id = _session_id(response.headers)
    except (AddressRefusedError, OutboundError) as error:
        return Health(is_healthy=False, detail=error.detail)
    latency_ms = round((time.monotonic() - began) * 1000)
    if session_id:
        await _close(outbound, url, {**headers, "Mcp-Session-Id": session_id})
    return _judged(message, latency_ms)


def _session_id(headers: Mapping[str, str]) -> str | None:
    """The id of the opened session, or None if it is missing or invalid."""
    found = headers.get("mcp-session-id", "")
    return found if _SESSION_ID.fullmatch(found) else None


async def _close(outbound: Outbound, url: str, headers: Mapping[str, str]) -> None:
    """Close the session. Servers need not support this; sessions expire anyway."""
    try:
        await outbound.send("DELETE", url, headers=headers, timeout=TIMEOUT)
    except OutboundError:
        return


async def _message(chunks: AsyncIterator[bytes], *, is_stream: bool) -> Any:
    """The JSON-RPC message in the response, or None if there is none within the limit."""
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > BODY_LIMIT_BYTES:
            return None
        if is_stream and (found := _event_in(bytes(body))) is not None:
            return found
    return _event_in(bytes(body) + b"\n\n") if is_stream else _parsed(bytes(body))


def _event_in(body: bytes) -> Any:
    """The first response in the complete events of the stream; other messages may precede it."""
    lines = body.replace(b"\r\n", b"\n")
    *events, _ = lines.split(b"\n\n")
    for event in events:
        data = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
        message = _parsed(b"\n".join(data))
        if isinstance(message, dict) and message.get("id") == _REQUEST["id"]:
            return message
    return None


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _judged(message: Any, latency_ms: int) -> Health:
    result = message.get("result") if isinstance(message, dict) else None
    if isinstance(result, dict) and isinstance(result.get("serverInfo"), dict):
        info, capabilities = result["serverInfo"], result.get("capabilities")
        texts = {name: _text(info[name]) for name in ("name", "title", "version") if name in info}
        offered = sorted(capabilities)[:20] if isinstance(capabilities, dict) else []
        return Health(
            is_healthy=True,
            latency_ms=latency_ms,
            server_info={**texts, "capabilities": [_text(name) for name in offered]},
            protocol_version=_text(result.get("protocolVersion")),
        )
    error = message.get("error") if isinstance(message, dict) else None
    if isinstance(error, dict):
        detail = f"The server returned an error: {_text(error.get('message'))}"
    else:
        detail = "The response is not a valid MCP response; check the URL."
    return Health(is_healthy=False, detail=detail, latency_ms=latency_ms)


def _text(value: Any) -> str:
    return clean(str(value))[:LONGEST_TEXT]
