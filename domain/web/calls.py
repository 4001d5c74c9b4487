"""Calls of the tool `http_request`: what a request can change, and which headers it may have."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from domain.secrets import SCHEME, reference_in
from domain.tools.calls import ToolEffect, ToolSpec
from domain.web.urls import WebUrlError, parse_url

HTTP_REQUEST, WEB_FETCH = "http_request", "web_fetch"

SET_NETWORK = (
    'The task needs a list of hosts, such as "network": {"allow": ["api.example.com"]}, '
    "within the operator's setting PERDURE_NETWORK_ALLOW."
)
"""What is needed for the web tools to be offered."""

SAFE_METHODS = ("GET", "HEAD")
"""They change nothing (RFC 9110, section 9.2.1), as far as a server obeys."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

IDEMPOTENCY_KEY = "idempotency-key"
"""The header by which a server recognises a repeated request
(draft-ietf-httpapi-idempotency-key-header-07)."""

MAX_HEADERS = 50
"""Of one request (chosen: browsers send twenty)."""

_OWN_HEADERS = frozenset(
    {
        "accept-encoding", "connection", "content-length", "expect", "host", "keep-alive",
        "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
    }
)  # fmt: skip
"""Headers that frame a request or name its host."""

_METHOD_HEADERS = frozenset({"x-http-method", "x-http-method-override", "x-method-override"})
"""Headers that make a server read another method."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[!-~](?:[\t -~]*[!-~])?|")


def request_effect(spec: ToolSpec, tool_input: object) -> ToolEffect:
    """What a call with this input can change: a request that only reads, or repeats, is known."""
    if spec.name != HTTP_REQUEST or not isinstance(tool_input, Mapping):
        return spec.effect
    if tool_input.get("method", "GET") in SAFE_METHODS:
        return ToolEffect.READ_ONLY
    return ToolEffect.IDEMPOTENT if idempotency_key_of(tool_input) else spec.effect


def idempotency_key_of(tool_input: Mapping[str, Any]) -> str | None:
    """Return the idempotency key of a request: the argument, or the header."""
    key = tool_input.get("idempotency_key")
    headers = tool_input.get("headers")
    if isinstance(headers, Mapping):
        key = key or next((v for n, v in headers.items() if n.lower() == IDEMPOTENCY_KEY), None)
    return key if isinstance(key, str) and key.strip() else None


def url_problem(tool_input: Mapping[str, Any]) -> str | None:
    """Why the URL of a call can't be used, as a sentence for the model, or None."""
    try:
        parse_url(tool_input["url"])
    except WebUrlError as error:
        return str(error)
    if SCHEME in tool_input["url"]:
        return f"Secrets are sent in headers only; remove {SCHEME} from the URL."
    return None


def request_problems(tool_input: Mapping[str, Any]) -> Iterator[str]:
    """Yield why a request that fits the schema can't be sent, as sentences for the model."""
    method, headers = tool_input.get("method", "GET"), tool_input.get("headers", {})
    if "body" in tool_input and "json" in tool_input:
        yield "Give either body or json."
    if method in SAFE_METHODS and {"body", "json"} & tool_input.keys():
        yield f"A {method} request has no body; leave it out, or use another method."
    names = [name.lower() for name in headers]
    if len(set(names)) < len(names):
        yield "A header is given twice; join its values with commas."
    if "body" in tool_input and SCHEME in tool_input["body"]:
        yield f"Secrets are sent in headers only; remove {SCHEME} from the body."
    if "json" in tool_input and SCHEME in json.dumps(tool_input["json"]):
        yield f"Secrets are sent in headers only; remove {SCHEME} from the JSON."
    if "idempotency_key" in tool_input:
        yield from _header_problems(IDEMPOTENCY_KEY, tool_input["idempotency_key"])
    if IDEMPOTENCY_KEY in names and "idempotency_key" in tool_input:
        yield "Give the idempotency key once: as idempotency_key, or as a header."
    for name, value in headers.items():
        yield from _header_problems(name, value)


def _header_problems(name: str, value: str) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"{name[:100]!r} is not the name of a header."
    elif name.lower() in _OWN_HEADERS:
        yield f"Perdure sets the header {name} itself; leave it out."
    elif name.lower() in _METHOD_HEADERS:
        yield f"The header {name} changes the method; set method instead."
    if SCHEME in value and reference_in(value) is None:
        yield (
            f"In the header {name[:100]!r}, {SCHEME}NAME must be the whole value, or follow one "
            f"word, as in 'Bearer {SCHEME}NAME'."
        )
    if not _VALUE.fullmatch(value):
        yield f"The value of the header {name[:100]!r} is not visible ASCII text; encode it."
