"""How errors enter Temporal: a code and a fixed sentence, retryable or not. Never a content."""

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import structlog
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from domain import errors

log = structlog.get_logger(__name__)

IS_RETRYABLE: Mapping[type[errors.PerdureError], bool] = {
    # Somebody else goes on; this attempt must not be repeated.
    errors.FencedOutError: False,
    errors.ExecutionTerminalError: False,
    # Whoever asked for it reads why, and may ask again.
    errors.ResetRefusedError: False,
    # Another worker, or this one later, can do it.
    errors.WorkspaceElsewhereError: True,
    errors.SandboxUnavailableError: True,
    errors.ServiceUnavailableError: True,
    errors.ModelCallError: True,
    errors.OutboundError: True,
    # An operator may allow the address, or give the key, while it is tried again.
    errors.AddressRefusedError: True,
    errors.SecretsNotConfiguredError: True,
    errors.SecretUnusableError: True,
    errors.RateLimitedError: True,
    errors.QuotaExceededError: True,
    # These come from requests; in an activity they are faults of ours, and a deploy may mend them.
    errors.InvalidInputError: True,
    errors.IdempotencyKeyReusedError: True,
    errors.UnauthenticatedError: True,
    errors.PermissionDeniedError: True,
    errors.UserDisabledError: True,
    errors.NotFoundError: False,
    errors.ConflictError: True,
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
"""Every named error, exactly; a test fails if one is missing."""

SENTENCE = "The step failed on this worker; its log says why."

TOLD = frozenset({errors.ResetRefusedError})
"""Errors that operators cause in Temporal, who are told why there; no content is in them."""


@contextmanager
def translated() -> Iterator[None]:
    """Log what is raised in the block and hand Temporal its code alone."""
    try:
        yield
    except errors.PerdureError as error:
        log.warning("activity.failed", code=error.code, detail=error.detail)
        raise ApplicationError(
            error.detail if type(error) in TOLD else SENTENCE,
            type=error.code,
            non_retryable=not IS_RETRYABLE[type(error)],
            category=ApplicationErrorCategory.BENIGN,
        ) from None
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is, its text may hold content
        told = _without_words(error)
        log.error("activity.failed", error=type(error).__name__, causes=told)  # noqa: TRY400 - it shows the text
        raise ApplicationError(SENTENCE, type=type(error).__name__) from None


def _without_words(error: BaseException | None) -> Sequence[Mapping[str, object]]:
    """Types and places of an error and its causes, outermost first.

    Their texts stay away: that of a database shows rows.
    """
    found: list[Mapping[str, object]] = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        found.append({"type": type(error).__qualname__, "places": places})
        error = error.__cause__ or error.__context__
    return found
