"""The API's description: FastAPI's, with our bodies, errors and security added."""

from typing import Any

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.http import errors
from api.http.bodies import JsonBody
from api.http.problems import MEDIA_TYPE, Problem
from api.http.request_context import authenticated

TITLE = "Perdure"

_REF = "#/components/schemas/{model}"

_ABOUT = """Runs tasks for Claude durably: one task run is one Temporal workflow.

- Times are RFC 3339 in UTC, durations say their unit (`_seconds`, `_ms`), money is a number in USD
  with at most six decimals.
- `Idempotency-Key`, a header of every POST that makes or starts something: the same key with the
  same body gets the first answer again (`Idempotency-Replayed: true`), for 24 hours.
- Single resources have an `ETag`: send it as `If-Match` with PATCH and DELETE (412 where the
  resource has changed), as `If-None-Match` with GET (304 where it has not).
- Lists are newest first, an execution's story oldest first. Go on with `next_cursor` as `cursor`,
  or with `_links.next`. `total` is exact up to 10,000; beyond, `total_is_capped` is true.
- `_links` are paths; what is absent is left out.
- `X-Request-ID` is in every answer, your own where you send one.

Errors are `application/problem+json`; `code` is one of:

| status | codes |
|---|---|
"""


def describe(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=TITLE, version=app.version, description=_description(), routes=app.routes
        )
        routes = [
            route
            for route in iter_route_contexts(app.routes)
            if isinstance(route.original_route, APIRoute) and route.include_in_schema
        ]
        bodies = [_body(route.dependant) for route in routes]
        schemas = _schemas([Problem, *{body.model for body in bodies if body}])
        components = document.setdefault("components", {}).setdefault("schemas", {})
        components.update(schemas)
        for unused in ("HTTPValidationError", "ValidationError"):  # ours are problems
            components.pop(unused, None)
        document["components"]["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "A JWT, or an API key (`pdk_…`).",
            }
        }
        for route, body in zip(routes, bodies, strict=True):
            for method in route.methods or ():
                operation = document["paths"][route.path_format][method.lower()]
                operation["operationId"] = route.name  # clients name their functions by it
                _complete(operation, route.dependant, body)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(operation: dict[str, Any], dependant: Dependant, body: JsonBody[Any] | None) -> None:
    problem = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    operation["responses"].pop("422", None)
    operation["responses"]["default"] = {"description": "A problem.", "content": problem}
    if _needs_token(dependant):
        operation["security"] = [{"token": []}]
    if body:
        schema = {"$ref": _REF.format(model=body.model.__name__)}
        operation["requestBody"] = {
            "required": not body.optional,
            "content": {"application/json": {"schema": schema}},
        }


def _body(dependant: Dependant) -> JsonBody[Any] | None:
    calls = (inner.call for inner in dependant.dependencies)
    return next((call for call in calls if isinstance(call, JsonBody)), None)


def _needs_token(dependant: Dependant) -> bool:
    return dependant.call is authenticated or any(map(_needs_token, dependant.dependencies))


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
