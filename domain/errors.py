"""Perdure's error classes. They do not depend on HTTP or Temporal.

`api/http/errors.py` maps the classes to an HTTP status, `activities/failures.py` to a retry
decision. A test checks that both tables contain every subclass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar
from uuid import UUID


class ErrorCode(StrEnum):
    """Why an execution failed: the documented values of `error_code`."""

    MODEL_NOT_CONFIGURED = "model_not_configured"
    MODEL_REFUSED = "model_refused"
    MODEL_ERROR = "model_error"
    MODEL_REQUEST_INVALID = "model_request_invalid"
    CONTEXT_EXCEEDED = "context_exceeded"
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    OUTPUT_INVALID = "output_invalid"
    EMPTY_ANSWER = "empty_answer"
    BUDGET_EXHAUSTED = "budget_exhausted"
    TOOL_FAILED = "tool_failed"
    TIMEOUT = "timeout"
    DEADLINE_PASSED = "deadline_passed"
    INPUT_EXPIRED = "input_expired"
    INPUT_DENIED = "input_denied"
    PREREQUISITE_FAILED = "prerequisite_failed"
    STEP_FAILED = "step_failed"
    WORKER_ERROR = "worker_error"
    INVALID_DEFINITION = "invalid_definition"
    TERMINATED = "terminated"


class PerdureError(Exception):
    """Base class of all our errors: a stable `code` for programs and a sentence for people."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, detail: str) -> None:
        """`detail` describes what is wrong and what to do."""
        super().__init__(detail)
        self.detail = detail


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One invalid value: its location (as pydantic's `loc`), a message, and a type name."""

    loc: tuple[str | int, ...]
    msg: str
    type: str = "value_error"


class InvalidInputError(PerdureError):
    """The request is well formed, but a value is invalid."""

    code = "invalid_input"

    def __init__(self, detail: str, problems: Sequence[FieldProblem] = ()) -> None:
        """`problems` lists the invalid fields and how to fix them."""
        super().__init__(detail)
        self.problems = tuple(problems)

    def rename_fields(self, names: Mapping[str, str]) -> "InvalidInputError":
        """The same error for a caller that has other names for these fields."""
        renamed = [
            replace(problem, loc=tuple(names.get(str(part), part) for part in problem.loc))
            for problem in self.problems
        ]
        return InvalidInputError(self.detail, renamed)


class IdempotencyKeyReusedError(InvalidInputError):
    """The same Idempotency-Key was sent with a different body."""

    code = "idempotency_key_reused"


class AddressRefusedError(InvalidInputError):
    """The address is not allowed: it is not public, not HTTP(S), or uses a forbidden port."""

    code = "address_refused"


class SecretUnusableError(InvalidInputError):
    """The secret does not exist, or may not be sent to this host."""

    code = "secret_unusable"


class UnauthenticatedError(PerdureError):
    """The credentials are missing or invalid."""

    code = "unauthenticated"


class PermissionDeniedError(PerdureError):
    """The object belongs to another user, or the operation needs another role."""

    code = "permission_denied"


class UserDisabledError(PermissionDeniedError):
    """An admin has disabled the user: requests are refused and nothing starts."""

    code = "user_disabled"


class ScopeMissingError(PermissionDeniedError):
    """The credentials lack a scope that the operation needs."""

    code = "scope_missing"


class NotFoundError(PerdureError):
    """The object does not exist or is deleted."""

    code = "not_found"


class BlobMissingError(NotFoundError):
    """The content of a file is not in the store of artifacts."""

    code = "content_missing"

    def __init__(self, sha256: str) -> None:
        """`sha256` (hex) identifies the content."""
        super().__init__(
            f"The content with the sha256 {sha256} is not in the store of artifacts. Ask the "
            "operator to restore it from a backup."
        )


class UploadTooLargeError(PerdureError):
    """An uploaded file is larger than the operator allows."""

    code = "upload_too_large"


class ConflictError(PerdureError):
    """The current state of the object does not allow the operation."""

    code = "conflict"


class TransitionRefusedError(ConflictError):
    """The table of transitions does not allow this change of an execution's status."""

    code = "transition_refused"


class DuplicateNameError(ConflictError):
    """Another object of the user has this name."""

    code = "duplicate_name"


class TaskInactiveError(ConflictError):
    """The task is inactive and cannot be executed."""

    code = "task_inactive"


class ExecutionTerminalError(ConflictError):
    """The execution has ended and accepts no more signals."""

    code = "execution_terminal"


class ExecutionActiveError(ConflictError):
    """The operation needs an execution that has ended."""

    code = "execution_active"


class DependentsChangedError(ConflictError):
    """Another execution began to wait for this one while its end was written; try again."""

    code = "dependents_changed"


class NotClaimableError(ConflictError):
    """The execution cannot be claimed now: Claude runs it, it is claimed, paused or not pending."""

    code = "not_claimable"


class LeaseLostError(ConflictError):
    """The lease has ended, so another worker may have the work; stop working on it."""

    code = "lease_lost"


class ResetRefusedError(ConflictError):
    """A reset would reopen an execution whose session has continued with another execution.

    The message contains only ids and states, because it is shown in Temporal.
    """

    code = "reset_refused"


class FilesElsewhereError(ConflictError):
    """This gateway cannot read the files."""

    code = "files_elsewhere"


class AlreadyAnsweredError(ConflictError):
    """The input request is answered or no longer open."""

    code = "already_answered"


class InputChangedError(ConflictError):
    """The sha256 in the answer does not match the tool input to approve."""

    code = "input_changed"


class SecretsNotConfiguredError(ConflictError):
    """The encryption key for secrets is missing or is not the right one."""

    code = "secrets_not_configured"


class RenderingFailedError(ConflictError):
    """The report cannot be rendered in this format. Other formats may work."""

    code = "rendering_failed"


class IdempotencyInProgressError(ConflictError):
    """A request with this Idempotency-Key is still in progress."""

    code = "idempotency_in_progress"


class PreconditionFailedError(PerdureError):
    """The object has changed since the version in `If-Match`."""

    code = "precondition_failed"


class RateLimitedError(PerdureError):
    """There are too many requests or executions; retry after `retry_after_seconds`."""

    code = "rate_limited"

    def __init__(
        self,
        detail: str,
        retry_after_seconds: float,
        *,
        limit: int | None = None,
        window_seconds: int | None = None,
    ) -> None:
        """`retry_after_seconds` is the delay after which a retry can succeed.

        `limit` is the limit that was reached; `window_seconds` is its period, if it has one.
        """
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit
        self.window_seconds = window_seconds


class QuotaExceededError(RateLimitedError):
    """The user has reached the limit of executions or of today's cost."""

    code = "quota_exceeded"


class ServiceUnavailableError(PerdureError):
    """The database is unavailable."""

    code = "service_unavailable"


class BlobStoreUnavailableError(ServiceUnavailableError):
    """The store of artifacts is unavailable: the object storage, or a disk that may be full."""

    code = "artifacts_unavailable"


class OutboundError(PerdureError):
    """A server at a user's address cannot be reached or did not respond in time."""

    code = "outbound_failed"


class McpServerError(PerdureError):
    """An MCP server cannot be reached, or did not answer as the protocol requires.

    `is_final`: it did answer, so a retry would have the same result.
    """

    code = "mcp_server_failed"

    def __init__(self, detail: str, *, is_final: bool = False) -> None:
        """`detail` names the server and the reason."""
        super().__init__(detail)
        self.is_final = is_final


class FencedOutError(PerdureError):
    """Another attempt owns the execution; this one must stop and write nothing."""

    code = "fenced_out"


class WorkspaceElsewhereError(PerdureError):
    """The workspace of the execution is on another host, `host_id`."""

    code = "workspace_elsewhere"

    def __init__(self, detail: str, host_id: UUID) -> None:
        """`host_id` is the host that owns the workspace."""
        super().__init__(detail)
        self.host_id = host_id


class WorkspaceNotSavedError(PerdureError):
    """The changes of a workspace can't be saved in a snapshot; a sentence for the model."""

    code = "workspace_not_saved"


class SandboxUnavailableError(PerdureError):
    """The sandbox cannot be created, so tools cannot run."""

    code = "sandbox_unavailable"


class ToolInputError(PerdureError):
    """The tool input is invalid; the message is returned to the model."""

    code = "tool_input_invalid"


class WorkspacePathError(ToolInputError):
    """The path is outside the workspace or cannot be read."""

    code = "workspace_path_invalid"


class WorkspaceFileMissingError(WorkspacePathError):
    """The file does not exist in the workspace."""

    code = "workspace_file_missing"


class ModelFailureKind(StrEnum):
    """Why a model call failed; `claude/` maps the provider's errors to these."""

    NOT_CONFIGURED = "not_configured"
    QUOTA = "quota"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CONNECTION = "connection"
    CONTEXT_EXCEEDED = "context_exceeded"
    REQUEST_INVALID = "request_invalid"
    AUTHENTICATION = "authentication"
    UNREADABLE = "unreadable"
    """The answer is neither a message nor an error of the API, for example a web page."""


class ModelCallError(PerdureError):
    """A model call returned no message.

    `delay_seconds` is the value of the provider's `retry-after` header, if present. `retryable` is
    whether a retry can succeed. `detail` is the provider's text; it is stored in Postgres only.
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
        """Optional arguments are None if the provider did not send them."""
        super().__init__(detail)
        self.kind = kind
        self.retryable = retryable
        self.delay_seconds = delay_seconds
        self.http_status = http_status
        self.request_id = request_id
