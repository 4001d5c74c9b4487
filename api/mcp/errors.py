"""Errors as results that a model reads: a stable code, what is wrong, and what to do.

A test checks that the table contains every error that a request can raise.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mcp.shared.exceptions import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, TextContent
from pydantic import BaseModel, ConfigDict

from api.http.errors import MalformedRequestError, PayloadTooLargeError
from api.http.problems import SHOWN_PROBLEMS
from domain import errors
from domain.errors import FieldProblem, InvalidInputError, PerdureError, RateLimitedError

ADVICE: Mapping[type[PerdureError], str] = MappingProxyType(
    {
        errors.InvalidInputError: "Correct the arguments that `errors` lists, and call again.",
        MalformedRequestError: "Send the arguments as one JSON object.",
        PayloadTooLargeError: "Send less, for example in several calls.",
        errors.UploadTooLargeError: "Store less, or several smaller files.",
        errors.IdempotencyKeyReusedError: "Use a new idempotency_key for new work.",
        errors.NotFoundError: "Check the id or name with a tool that lists such objects, as "
        "list_tasks or memory_search; objects of other users can't be used.",
        errors.PermissionDeniedError: "This can't be done with these credentials; ask the user.",
        errors.ScopeMissingError: "Give the user the link to the request, and continue with other "
        "work until they have answered; watch_execution reports it.",
        errors.UnauthenticatedError: "Ask the user for valid credentials.",
        errors.ConflictError: "Read the object again; its state does not allow this call.",
        errors.LeaseLostError: "Stop the work: another worker may have it, or it was cancelled.",
        errors.NotClaimableError: "Choose other work, or wait until this is pending.",
        errors.DependentsChangedError: "Repeat the same call.",
        errors.DuplicateNameError: "Choose another name, or use the object with this name.",
        errors.ExecutionTerminalError: "Read the result with get_execution, or start new work.",
        errors.AlreadyAnsweredError: "No answer is needed; continue with watch_execution.",
        errors.TaskInactiveError: "Ask the user to activate the task, or use another one.",
        errors.IdempotencyInProgressError: "Wait a second and repeat the same call.",
        errors.TransitionRefusedError: "Read the execution again with get_execution.",
        errors.PreconditionFailedError: "Read the object again and repeat the change.",
        errors.RateLimitedError: "Wait, then repeat the same call.",
        errors.QuotaExceededError: "Wait for executions to end, or ask for a higher quota.",
        errors.ServiceUnavailableError: "Wait a few seconds and repeat the same call.",
    }
)
"""What a model should do about an error, by its class or the nearest base class."""

INTERNAL_ADVICE = "Report the request id to the operator; repeating the call may succeed."


class InvalidArgument(BaseModel):
    """An invalid argument: its path, such as `variables.city`, and how to fix it."""

    argument: str
    message: str


class ToolErrorResult(BaseModel):
    """The structured content of a failed call. `code` is stable."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    errors: list[InvalidArgument]
    retry_after_seconds: float | None
    next_step: str


def error_result(error: PerdureError) -> CallToolResult:
    """The result for one of our errors."""
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    after = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
    return _describe_failure(error.code, error.detail, advice_for(type(error)), problems, after)


def protocol_error(error: PerdureError) -> MCPError:
    """The JSON-RPC error for one of our errors, where a request is no call of a tool."""
    problems = error.problems if isinstance(error, InvalidInputError) else ()
    details = [f"{_path(problem)}: {problem.msg}" for problem in problems[:SHOWN_PROBLEMS]]
    message = " ".join([error.detail, *details])
    is_callers = not isinstance(error, errors.ServiceUnavailableError)
    code = INVALID_PARAMS if is_callers else INTERNAL_ERROR
    return MCPError(code, message, {"code": error.code})


def outage_result() -> CallToolResult:
    """The result while the database is unavailable."""
    error = errors.ServiceUnavailableError
    return _describe_failure(error.code, "The database is unavailable.", advice_for(error))


def internal_result(request_id: str) -> CallToolResult:
    """The result of a call that failed unexpectedly."""
    message = f"An internal error occurred in the request {request_id}."
    return _describe_failure(PerdureError.code, message, INTERNAL_ADVICE)


def list_codes() -> Mapping[str, str]:
    """Every code of a failed call with what to do, for the documentation."""
    found = {PerdureError.code: INTERNAL_ADVICE}
    pending = list(ADVICE)
    while pending:
        error = pending.pop()
        found[error.code] = advice_for(error)
        pending += error.__subclasses__()
    return dict(sorted(found.items()))


def advice_for(error: type[PerdureError]) -> str:
    """What to do about an error class."""
    return next((ADVICE[c] for c in error.__mro__ if c in ADVICE), INTERNAL_ADVICE)


def _describe_failure(
    code: str,
    message: str,
    advice: str,
    problems: Sequence[FieldProblem] = (),
    retry_after_seconds: float | None = None,
) -> CallToolResult:
    listed = [
        InvalidArgument(argument=_path(problem), message=problem.msg)
        for problem in problems[:SHOWN_PROBLEMS]
    ]
    result = ToolErrorResult(
        code=code,
        message=message,
        errors=listed,
        retry_after_seconds=retry_after_seconds,
        next_step=advice,
    )
    lines = [f"{message} ({code})", *(f"- {one.argument}: {one.message}" for one in listed), advice]
    return CallToolResult(
        is_error=True,
        content=[TextContent(text="\n".join(lines))],
        structured_content=result.model_dump(mode="json", exclude_none=True),
    )


def _path(problem: FieldProblem) -> str:
    """The path of an argument; services name the request body as the first step."""
    return ".".join(str(step) for step in problem.loc[1:]) or "(all)"
