"""The mapping of errors to HTTP statuses, and the errors that only HTTP needs.

A test checks that the table contains every subclass of `PerdureError`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from domain import errors
from domain.errors import PerdureError, PermissionDeniedError
from runtime.temporal import TemporalUnavailableError


class MalformedRequestError(PerdureError):
    """The body is not valid JSON, or a header is malformed."""

    code = "malformed_request"


class PayloadTooLargeError(PerdureError):
    """The body exceeds the size limit."""

    code = "payload_too_large"


class HeadTooLargeError(PerdureError):
    """The request line and headers exceed the size limit."""

    code = "head_too_large"


class HostRefusedError(PerdureError):
    """The `Host` of the request is not a name of the gateway."""

    code = "host_refused"


class OriginRefusedError(PermissionDeniedError):
    """A web page of an origin that is not allowed sent the request."""

    code = "origin_refused"


STATUS: Mapping[type[PerdureError], int] = MappingProxyType(
    {
        MalformedRequestError: 400,
        errors.UnauthenticatedError: 401,
        errors.PermissionDeniedError: 403,
        errors.NotFoundError: 404,
        errors.ConflictError: 409,
        errors.TransitionRefusedError: 409,
        errors.PreconditionFailedError: 412,
        PayloadTooLargeError: 413,
        errors.UploadTooLargeError: 413,
        HostRefusedError: 421,
        errors.InvalidInputError: 422,
        errors.RateLimitedError: 429,
        HeadTooLargeError: 431,
        errors.ServiceUnavailableError: 503,
        # Raised by workers and at startup; if one reaches a client, that is a bug.
        TemporalUnavailableError: 500,
        errors.OutboundError: 500,
        errors.McpServerError: 500,
        errors.FencedOutError: 500,
        errors.WorkspaceElsewhereError: 500,
        errors.SandboxUnavailableError: 500,
        errors.WorkspaceNotSavedError: 500,
        errors.ToolInputError: 500,
        errors.ModelCallError: 500,
    }
)

RETRY_AFTER_SECONDS = 2
"""`Retry-After` while the database is unavailable: about the time of a restart (chosen)."""


def status_of(error: type[PerdureError]) -> int:
    """The status of an error class or of its nearest base class in the table; otherwise 500."""
    return next((STATUS[c] for c in error.__mro__ if c in STATUS), 500)


def codes() -> Mapping[str, int]:
    """Every error code with its status, for the OpenAPI document."""
    found = {
        "method_not_allowed": 405,
        "range_not_satisfiable": 416,
        "internal_error": 500,
    }
    pending = [c for c, status in STATUS.items() if status != 500]  # noqa: PLR2004 - see above
    while pending:
        error = pending.pop()
        found[error.code] = status_of(error)
        pending += error.__subclasses__()
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))
