"""The one table from our errors to HTTP, and the errors that only HTTP knows.

A test walks every subclass of `PerdureError` and fails if the table misses one.
"""

from collections.abc import Mapping
from types import MappingProxyType

from domain import errors
from domain.errors import PerdureError, PermissionDeniedError
from runtime.temporal import TemporalUnavailableError


class MalformedRequestError(PerdureError):
    """The body is no JSON, or a header is malformed."""

    code = "malformed_request"


class PayloadTooLargeError(PerdureError):
    """The body is over the limit."""

    code = "payload_too_large"


class HostRefusedError(PerdureError):
    """The request names a host that is not the gateway's."""

    code = "host_refused"


class OriginRefusedError(PermissionDeniedError):
    """A web page of an origin that the operator does not know sent the request."""

    code = "origin_refused"


STATUS: Mapping[type[PerdureError], int] = MappingProxyType(
    {
        MalformedRequestError: 400,
        errors.UnauthenticatedError: 401,
        errors.PermissionDeniedError: 403,
        errors.NotFoundError: 404,
        errors.ConflictError: 409,
        errors.PreconditionFailedError: 412,
        PayloadTooLargeError: 413,
        HostRefusedError: 421,
        errors.InvalidInputError: 422,
        errors.RateLimitedError: 429,
        errors.ServiceUnavailableError: 503,
        # Raised by workers and at start; one that reaches a client is a fault of ours.
        TemporalUnavailableError: 500,
        errors.OutboundError: 500,
        errors.FencedOutError: 500,
        errors.WorkspaceElsewhereError: 500,
        errors.SandboxUnavailableError: 500,
        errors.ToolInputError: 500,
        errors.ModelCallError: 500,
    }
)

RETRY_AFTER_SECONDS = 2
"""What a client is told while the database is away: about as long as a restart takes (chosen)."""


def status_of(error: type[PerdureError]) -> int:
    """The status of an error class or of the nearest class above it; 500 where there is none."""
    return next((STATUS[c] for c in error.__mro__ if c in STATUS), 500)


def codes() -> Mapping[str, int]:
    """Every code a client may meet with its status, for the API's description."""
    found = {
        "method_not_allowed": 405,
        "range_not_satisfiable": 416,
        "internal_error": 500,
    }
    pending = [c for c, status in STATUS.items() if status != 500]  # noqa: PLR2004 - as above
    while pending:
        error = pending.pop()
        found[error.code] = status_of(error)
        pending += error.__subclasses__()
    return dict(sorted(found.items(), key=lambda item: (item[1], item[0])))
