"""Every error Perdure raises by name. Knows neither HTTP nor Temporal.

`api/http/errors.py` maps the classes to a status, `activities/failures.py` to a retry decision; a
test walks every subclass and fails if a table misses one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class ErrorCode(StrEnum):
    """Why an execution failed: the documented values of `error_code` (contract.md, section 3)."""

    MODEL_NOT_CONFIGURED = "model_not_configured"
    MODEL_REFUSED = "model_refused"
    MODEL_ERROR = "model_error"
    MODEL_REQUEST_INVALID = "model_request_invalid"
    CONTEXT_EXCEEDED = "context_exceeded"
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    OUTPUT_INVALID = "output_invalid"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TOOL_FAILED = "tool_failed"
    TIMEOUT = "timeout"
    DEADLINE_PASSED = "deadline_passed"
    INPUT_EXPIRED = "input_expired"
    INPUT_DENIED = "input_denied"
    PREREQUISITE_FAILED = "prerequisite_failed"
    WORKER_ERROR = "worker_error"
    INVALID_DEFINITION = "invalid_definition"
    TERMINATED = "terminated"


class PerdureError(Exception):
    """Base of all our errors: a stable `code` for machines and a sentence for people."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str) -> None:
        """`detail` says what is wrong and what to change."""
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One invalid value: where it stands (as pydantic's `loc`), what is wrong, and a type name."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class InvalidInputError(PerdureError):
    """The request is well formed and means something we can't accept."""

    code = "invalid_input"

    def __init__(self, detail: str, problems: Sequence[FieldProblem] = ()) -> None:
        """`problems` names each field with its mend."""
        super().__init__(detail)
        self.problems = tuple(problems)


class IdempotencyKeyReusedError(InvalidInputError):
    """The same Idempotency-Key came with another body."""

    code = "idempotency_key_reused"


class AddressRefusedError(InvalidInputError):
    """A user's address is none we go to: not public, not of the web, or on a port of others."""

    code = "address_refused"


class SecretUnusableError(InvalidInputError):
    """What is named as a secret is none of the user's, or may not go where it would be sent."""

    code = "secret_unusable"


class UnauthenticatedError(PerdureError):
    """No credentials, or credentials that don't hold."""

    code = "unauthenticated"


class PermissionDeniedError(PerdureError):
    """The thing exists and is somebody else's, or the role is too low."""

    code = "permission_denied"


class UserDisabledError(PermissionDeniedError):
    """An admin has switched the user off: nothing is served and nothing starts."""

    code = "user_disabled"


class NotFoundError(PerdureError):
    """There is no such thing; a soft-deleted thing counts as none."""

    code = "not_found"


class ConflictError(PerdureError):
    """The state of the thing forbids it."""

    code = "conflict"


class DuplicateNameError(ConflictError):
    """The name is taken among the user's live things."""

    code = "duplicate_name"


class TaskInactiveError(ConflictError):
    """The task is switched off and can't be executed."""

    code = "task_inactive"


class ExecutionTerminalError(ConflictError):
    """The execution has ended; nothing more can be said to it."""

    code = "execution_terminal"


class ExecutionActiveError(ConflictError):
    """The execution has not ended, and this takes one that has."""

    code = "execution_active"


class ResetRefusedError(ConflictError):
    """An operator's reset would reopen an execution whose session has gone on with another one.

    Its sentence is of ids and states, and is told in Temporal.
    """

    code = "reset_refused"


class FilesElsewhereError(ConflictError):
    """The files are where this gateway can't read them."""

    code = "files_elsewhere"


class AlreadyAnsweredError(ConflictError):
    """The input request has its answer, or is no longer open."""

    code = "already_answered"


class InputChangedError(ConflictError):
    """The answer names another sha256 than the tool input it would approve."""

    code = "input_changed"


class SecretsNotConfiguredError(ConflictError):
    """Secrets can't be kept or read: the operator gave no key, or not the one they need."""

    code = "secrets_not_configured"


class RenderingFailedError(ConflictError):
    """A stored report can't be rendered in one of its formats; others are to be had."""

    code = "rendering_failed"


class IdempotencyInProgressError(ConflictError):
    """A request with this Idempotency-Key is still being handled."""

    code = "idempotency_in_progress"


class PreconditionFailedError(PerdureError):
    """`If-Match` was sent and the thing has changed since."""

    code = "precondition_failed"


class RateLimitedError(PerdureError):
    """Too many requests or too much running; try again after `retry_after_seconds`."""

    code = "rate_limited"

    def __init__(
        self,
        detail: str,
        retry_after_seconds: float,
        *,
        limit: int | None = None,
        window_seconds: int | None = None,
    ) -> None:
        """`retry_after_seconds` is when it is worth trying again.

        `limit` is what was reached, in `window_seconds` if it is one on a span of time.
        """
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit
        self.window_seconds = window_seconds


class QuotaExceededError(RateLimitedError):
    """The user has as much running, or has spent as much today, as they may."""

    code = "quota_exceeded"


class ServiceUnavailableError(PerdureError):
    """The database can't be reached."""

    code = "service_unavailable"


class OutboundError(PerdureError):
    """An address that a user gave was not reached, or did not answer in time."""

    code = "outbound_failed"


class FencedOutError(PerdureError):
    """Another attempt holds the execution; this one must stop and write nothing."""

    code = "fenced_out"


class WorkspaceElsewhereError(PerdureError):
    """The execution's workspace is on another host than this worker's."""

    code = "workspace_elsewhere"


class SandboxUnavailableError(PerdureError):
    """No sandbox can be made here, so no tool runs."""

    code = "sandbox_unavailable"


class ToolInputError(PerdureError):
    """The model's tool input is unusable; the sentence goes back to the model."""

    code = "tool_input_invalid"


class WorkspacePathError(ToolInputError):
    """The path leads out of the workspace, or to nothing that can be read."""

    code = "workspace_path_invalid"


class WorkspaceFileMissingError(WorkspacePathError):
    """There is no such file in the workspace."""

    code = "workspace_file_missing"


class ModelFailureKind(StrEnum):
    """What went wrong with a model call (facts: one table in `claude/posture.py`)."""

    NOT_CONFIGURED = "not_configured"
    QUOTA = "quota"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CONNECTION = "connection"
    CONTEXT_EXCEEDED = "context_exceeded"
    REQUEST_INVALID = "request_invalid"
    AUTHENTICATION = "authentication"


class ModelCallError(PerdureError):
    """A model call that brought no message.

    `delay_seconds` is what the provider asked for (`retry-after`), else None; whether to try again
    follows from `retryable`. `detail` is the provider's text and stays in Postgres.
    """

    code = "model_call_failed"

    def __init__(
        self,
        detail: str,
        *,
        kind: ModelFailureKind,
        retryable: bool,
        delay_seconds: float | None = None,
        http_status: int | None = None,
        request_id: str | None = None,
    ) -> None:
        """The facts of the failure, as far as the provider gave them."""
        super().__init__(detail)
        self.kind = kind
        self.retryable = retryable
        self.delay_seconds = delay_seconds
        self.http_status = http_status
        self.request_id = request_id
