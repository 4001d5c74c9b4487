"""The OpenAPI document: FastAPI's, with our bodies, errors and security schemes."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http import errors
from api.http.bodies import JsonBody
from api.http.openapi_texts import (
    TAGS,
    describe_parameter,
    load_examples,
    summarize,
    without_defaults,
)
from api.http.problems import MEDIA_TYPE, Problem
from api.http.request_context import authenticate_request

TITLE = "Perdure"

_REF = "#/components/schemas/{model}"

_ABOUT = """Perdure runs tasks for Claude durably. Each run of a task is one Temporal workflow.

- Times are RFC 3339 in UTC. Durations have their unit in the name (`_seconds`, `_ms`). Money is a
  number in USD with at most six decimals.
- Every POST that creates or starts something accepts the header `Idempotency-Key`. Within 24 hours,
  the same key with the same body returns the first response again (`Idempotency-Replayed: true`).
- Single resources have an `ETag`. Send it as `If-Match` with PATCH and DELETE (412 if the resource
  has changed), or as `If-None-Match` with GET (304 if it has not).
- Lists are newest first; events, messages and calls of an execution are oldest first. To get the
  next page, send `next_cursor` as `cursor`, or follow `_links.next`. `total` is exact up to 10,000;
  for more, `total_is_capped` is true. A page whose items are large has fewer of them than
  `page_size`: it ends when they have 4 MiB. The cursor continues after the last one; page numbers
  do not, so use cursors for lists of large items.
- A request body can have 100,000 JSON values. A user's bodies of more than 256 KiB are handled one
  after the other.
- `_links` are paths; relations that do not exist are omitted.
- Every response contains `X-Request-ID`. You can send your own.
- Agents use the MCP server at `/mcp` (streamable HTTP) with the same credentials; it is not part of
  this document.

Errors are `application/problem+json`; `code` is one of:

| status | codes |
|---|---|
"""


REPLACED_SCHEMAS = ("HTTPValidationError", "ValidationError")
"""Schemas of FastAPI's errors; ours are problem documents."""

TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A JWT, or an API key (`pdk_…`).",
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document, created once."""
    if app.openapi_schema is None:
        app.openapi_schema = _make_document(app)
    return app.openapi_schema


def _make_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=TITLE,
        version=app.version,
        description=_description(),
        routes=app.routes,
        servers=app.servers,
    )
    routes = [
        route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema
    ]
    bodies = [_body(route.dependant) for route in routes]
    schemas = _schemas([Problem, *{body.model for body in bodies if body}])
    components = document.setdefault("components", {})
    known = components.setdefault("schemas", {})
    known |= {name: without_defaults(schema) for name, schema in schemas.items()}
    for name in REPLACED_SCHEMAS:
        known.pop(name, None)
    components["securitySchemes"] = {"token": TOKEN}
    _complete_operations(document["paths"], routes, bodies)
    used = {tag for item in document["paths"].values() for o in item.values() for tag in o["tags"]}
    document["tags"] = [
        {"name": name, "description": text} for name, text in TAGS.items() if name in used
    ]
    return document


def _complete_operations(
    paths: dict[str, Any], routes: Sequence[APIRoute], bodies: Sequence[JsonBody[Any] | None]
) -> None:
    examples = load_examples()
    for route, body in zip(routes, bodies, strict=True):
        for method in route.methods or ():
            operation = paths[route.path_format][method.lower()]
            # Generated clients use it as the name of the function.
            operation["operationId"] = route.name
            _complete(operation, route.dependant, body)
            _describe(operation, examples)


def serve(app: FastAPI) -> None:
    """Add the route of the document. It needs no credentials, so the bytes are made only once."""

    @cache
    def content() -> bytes:
        return json.dumps(describe(app), ensure_ascii=False, separators=(",", ":")).encode()

    async def respond(_: Request) -> Response:
        return Response(content(), media_type="application/json")

    app.add_route("/openapi.json", respond, include_in_schema=False)


def _complete(operation: dict[str, Any], dependant: Dependant, body: JsonBody[Any] | None) -> None:
    problem = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {"description": "An error.", "content": problem}
    if _needs_token(dependant):
        operation["security"] = [{"token": []}]
    if body:
        schema = {"$ref": _REF.format(model=body.model.__name__)}
        operation["requestBody"] = {
            "required": not body.optional,
            "content": {"application/json": {"schema": schema}},
        }


def _describe(operation: dict[str, Any], examples: Mapping[str, Any]) -> None:
    """Add the texts for people: summary, descriptions of parameters, an example of the body."""
    operation["summary"] = summarize(operation["description"])
    for parameter in operation.get("parameters", ()):
        schema = parameter["schema"]
        text = parameter.get("description") or schema.pop("description", None)
        text = text or describe_parameter(parameter["name"], parameter["in"])
        if text:
            parameter["description"] = text
        schema.pop("title", None)
    if operation["operationId"] in examples:
        content = operation["requestBody"]["content"]["application/json"]
        content["example"] = examples[operation["operationId"]]


def _body(dependant: Dependant) -> JsonBody[Any] | None:
    calls = (inner.call for inner in dependant.dependencies)
    return next((call for call in calls if isinstance(call, JsonBody)), None)


def _needs_token(dependant: Dependant) -> bool:
    return dependant.call is authenticate_request or any(map(_needs_token, dependant.dependencies))


def _schemas(models: list[type[BaseModel]]) -> dict[str, Any]:
    _, definitions = models_json_schema(
        [(model, "validation") for model in models], ref_template=_REF
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas


def _description() -> str:
    codes = errors.codes()
    rows = (
        f"| {status} | {', '.join(f'`{code}`' for code in codes if codes[code] == status)} |"
        for status in sorted(set(codes.values()))
    )
    return _ABOUT + "\n".join(rows)
