"""Errors as `application/problem+json` (RFC 9457)."""

import json
import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Route

from api.http.errors import RETRY_AFTER_SECONDS, status_of
from domain.errors import (
    FieldProblem,
    InvalidInputError,
    PerdureError,
    RateLimitedError,
    ServiceUnavailableError,
    UnauthenticatedError,
)
from services.validation_messages import describe_error

MEDIA_TYPE = "application/problem+json"

SHOWN_PROBLEMS = 50
"""Maximum number of reported problems, for lists with many invalid items (chosen)."""


class InvalidField(BaseModel):
    """One invalid value of a request."""

    loc: list[str | int]
    msg: str
    type: str


class Problem(BaseModel):
    """The body of every error. `code` is stable; `detail` is a message for people."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    request_id: str
    errors: list[InvalidField] | None = None


def problem(
    scope: Mapping[str, Any],
    status: int,
    code: str,
    detail: str,
    *,
    problems: Sequence[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The problem document for the request of this ASGI scope."""
    body: dict[str, Any] = {
        "type": f"urn:perdure:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": scope["path"],
        "code": code,
        "request_id": scope["request_id"],
    }
    if problems:
        body["errors"] = [
            {"loc": list(p.loc), "msg": p.msg, "type": p.type} for p in problems[:SHOWN_PROBLEMS]
        ]
    # ASCII, because field names and paths can contain characters that UTF-8 cannot encode.
    content = json.dumps(body).encode("ascii")
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def render_error(scope: Mapping[str, Any], error: PerdureError) -> Response:
    """The response for one of our errors."""
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    return problem(
        scope,
        status_of(type(error)),
        error.code,
        error.detail,
        problems=problems,
        headers=_headers(error),
    )


def _headers(error: PerdureError) -> dict[str, str]:
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, RateLimitedError):
        return _limit_headers(error)
    if isinstance(error, ServiceUnavailableError):
        return {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return {}


def _limit_headers(error: RateLimitedError) -> dict[str, str]:
    seconds = str(max(1, math.ceil(error.retry_after_seconds)))
    headers = {"Retry-After": seconds, "RateLimit-Remaining": "0", "RateLimit-Reset": seconds}
    if error.limit is not None:
        headers["RateLimit-Limit"] = str(error.limit)
    if error.window_seconds is not None:
        headers["RateLimit-Policy"] = f"{error.limit};w={error.window_seconds}"
    return headers


def register(app: FastAPI) -> None:
    """Convert our errors and the framework's; all others reach the middleware."""
    app.add_exception_handler(PerdureError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_parameter)
    app.add_exception_handler(HTTPException, handle_router_error)


async def _on_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, PerdureError):
        raise error
    return render_error(request.scope, error)


async def _on_invalid_parameter(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    problems = [
        FieldProblem(tuple(e["loc"]), describe_error(e), str(e["type"])) for e in error.errors()
    ]
    detail = "A path or query parameter is invalid; see errors."
    return problem(request.scope, 422, InvalidInputError.code, detail, problems=problems)


async def handle_router_error(request: Request, error: Exception) -> Response:
    """Errors of the router: an unknown route or method."""
    if not isinstance(error, HTTPException):
        raise error
    status = HTTPStatus(error.status_code)
    details = {
        HTTPStatus.NOT_FOUND: "This path does not exist.",
        HTTPStatus.METHOD_NOT_ALLOWED: (
            f"This path does not support {request.method}; the Allow header lists the methods."
        ),
    }
    code = status.phrase.lower().replace(" ", "_")
    detail = details.get(status, str(error.detail))
    headers = dict(error.headers or {})
    if status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request)) or headers.get("Allow", "")
    return problem(request.scope, status, code, detail, headers=headers)


def _methods(request: Request) -> list[str]:
    """All methods of the path; the router knows only the first matching route."""
    path = getattr(request.scope.get("route"), "path", None)
    routes = request.app.routes
    alike = (route for route in routes if isinstance(route, Route) and route.path == path)
    return sorted({method for route in alike for method in route.methods or ()})
