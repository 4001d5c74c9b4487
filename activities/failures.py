"""How errors enter Temporal: as a code and a fixed sentence, retryable or not, without content."""

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain import errors

log = structlog.get_logger(__name__)

IS_RETRYABLE: Mapping[type[errors.PerdureError], bool] = {
    # Another attempt is running, or nothing is left to do: a repeat would be wrong.
    errors.FencedOutError: False,
    errors.ExecutionTerminalError: False,
    # The operator who reset the workflow reads the reason and may try again.
    errors.ResetRefusedError: False,
    # Another worker can do it, or this one later.
    errors.WorkspaceElsewhereError: True,
    errors.WorkspaceNotSavedError: True,
    errors.SandboxUnavailableError: True,
    errors.ServiceUnavailableError: True,
    errors.BlobStoreUnavailableError: True,
    errors.ModelCallError: True,
    errors.OutboundError: True,
    errors.McpServerError: True,
    # An operator may allow the address or set the key while it is retried.
    errors.AddressRefusedError: True,
    errors.SecretsNotConfiguredError: True,
    errors.SecretUnusableError: True,
    errors.RateLimitedError: True,
    errors.QuotaExceededError: True,
    # These belong to requests. In an activity they are bugs, which a deployment may fix.
    errors.InvalidInputError: True,
    errors.IdempotencyKeyReusedError: True,
    errors.UnauthenticatedError: True,
    errors.PermissionDeniedError: True,
    errors.ScopeMissingError: False,
    errors.UserDisabledError: True,
    errors.NotFoundError: False,
    errors.BlobMissingError: True,
    errors.UploadTooLargeError: True,
    errors.ConflictError: True,
    errors.TransitionRefusedError: False,
    errors.DependentsChangedError: True,
    errors.NotClaimableError: True,
    errors.LeaseLostError: True,
    errors.DuplicateNameError: True,
    errors.TaskInactiveError: True,
    errors.ExecutionActiveError: True,
    errors.FilesElsewhereError: True,
    errors.AlreadyAnsweredError: True,
    errors.InputChangedError: True,
    errors.RenderingFailedError: True,
    errors.IdempotencyInProgressError: True,
    errors.PreconditionFailedError: True,
    errors.ToolInputError: True,
    errors.WorkspacePathError: True,
    errors.WorkspaceFileMissingError: True,
}
"""Whether an activity that raises this error is retried. A test fails if a class is missing."""

SENTENCE = "The step failed on a worker. Read the worker's log for the reason."

OPERATOR_ERRORS = frozenset({errors.ResetRefusedError})
"""Errors that operators cause in Temporal and read there. Their texts hold no content."""


def is_retryable(error: Exception) -> bool:
    """Whether an activity that raises this error is retried; those that we do not know are."""
    return IS_RETRYABLE[type(error)] if isinstance(error, errors.PerdureError) else True


@contextmanager
def translate_errors(
    retry_delay: Callable[[], timedelta | None] = lambda: None,
) -> Iterator[None]:
    """Log an error that the block raises, and raise an `ApplicationError` with its code instead.

    `retry_delay` returns the time until the next attempt, if it is not that of the retry policy.
    """
    try:
        yield
    except errors.PerdureError as error:
        log.warning("activity.failed", code=error.code, detail=error.detail)
        raise ApplicationError(
            error.detail if type(error) in OPERATOR_ERRORS else SENTENCE,
            type=error.code,
            non_retryable=not is_retryable(error),
            next_retry_delay=retry_delay(),
            category=ApplicationErrorCategory.BENIGN,
        ) from None
    except Exception as error:  # noqa: BLE001 - the edge: any error's text may hold content
        causes = _describe_causes(error)
        log.error("activity.failed", error=type(error).__name__, causes=causes)  # noqa: TRY400 - it logs the text
        raise ApplicationError(
            SENTENCE, type=type(error).__name__, next_retry_delay=retry_delay()
        ) from None


def _describe_causes(error: BaseException | None) -> Sequence[Mapping[str, object]]:
    """Return the types and places of an error and its causes, outermost first.

    Their texts are left out: that of a database error shows rows.
    """
    found: list[Mapping[str, object]] = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        found.append({"type": type(error).__qualname__, "places": places})
        error = error.__cause__ or error.__context__
    return found
