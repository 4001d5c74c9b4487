"""Maps errors of the provider to `ModelCallError`: kind, whether to retry, and the delay.

The loop does the retries. The rules follow the Messages API's error documentation and `anthropic`
2.14 (checked 2026-11-28); their order matters.
"""

import email.utils
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from domain.errors import ModelCallError, ModelFailureKind
from domain.text import clean

MAX_DELAY_SECONDS = 300.0
"""The longest accepted `retry-after` (chosen): a wrong header must not block an execution."""

_MAX_DETAIL_CHARACTERS = 2_000
"""Limit for the provider's text (chosen): the API's messages are short, a proxy's page is long."""

_MAX_BEGINNING_BYTES = 500
"""Bytes of an answer that is no message (chosen): enough to recognise a page or an error."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error answer, or an error event within a stream, which has the status 200."""

    status: int
    type: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """Applies to a failure with one of these codes, statuses, types, or (bad request) phrases."""

    kind: ModelFailureKind
    retryable: bool
    codes: frozenset[str] = frozenset()
    statuses: frozenset[int] = frozenset()
    types: frozenset[str] = frozenset()
    phrases: frozenset[str] = frozenset()

    def applies_to(self, failure: _Failure) -> bool:
        """Whether the failure matches any of the criteria."""
        return (
            failure.code in self.codes
            or failure.status in self.statuses
            or failure.type in self.types
            or (
                failure.type == "invalid_request_error"
                and any(phrase in failure.message.lower() for phrase in self.phrases)
            )
        )


RULES = (
    # A spend limit is reached, so a retry within minutes fails too. Some of these errors are 429
    # without `retry-after`; limits that users set for themselves are 400.
    _Rule(
        ModelFailureKind.QUOTA,
        retryable=False,
        codes=frozenset(
            {
                "enforced_spend_limit_reached",
                "contract_spend_limit_reached",
                "linked_organization_spend_limit_reached",
                "linked_organization_billing_unavailable",
                "organization_on_hold",
            }
        ),
        statuses=frozenset({402}),
        types=frozenset({"billing_error"}),
        phrases=frozenset({"specified api usage limits", "credit balance is too low"}),
    ),
    _Rule(
        ModelFailureKind.RATE_LIMITED,
        retryable=True,
        statuses=frozenset({429}),
        types=frozenset({"rate_limit_error"}),
    ),
    # 409: another request held a lock. (Its other cause is message threads, which we don't use.)
    _Rule(
        ModelFailureKind.OVERLOADED,
        retryable=True,
        statuses=frozenset({408, 409, *range(500, 600)}),
        types=frozenset({"overloaded_error", "api_error", "timeout_error", "conflict_error"}),
    ),
    _Rule(
        ModelFailureKind.CONTEXT_EXCEEDED,
        retryable=False,
        statuses=frozenset({413}),
        types=frozenset({"request_too_large", "model_context_window_exceeded"}),
        phrases=frozenset({"prompt is too long", "exceed context limit"}),
    ),
    _Rule(
        ModelFailureKind.AUTHENTICATION,
        retryable=False,
        statuses=frozenset({401, 403}),
        types=frozenset({"authentication_error", "permission_error"}),
    ),
    _Rule(
        ModelFailureKind.REQUEST_INVALID,
        retryable=False,
        statuses=frozenset(range(400, 500)),
        types=frozenset({"invalid_request_error", "not_found_error"}),
    ),
    # A redirection that the SDK does not follow: another server answers at this address.
    _Rule(ModelFailureKind.UNREADABLE, retryable=False, statuses=frozenset(range(300, 400))),
)
"""The first rule that applies is used."""

_UNKNOWN = _Rule(ModelFailureKind.OVERLOADED, retryable=True)
"""For an error within a stream whose type is newer than these rules."""

_UNREADABLE = _Rule(ModelFailureKind.UNREADABLE, retryable=False)
"""For an answer with a successful status that is neither a message nor an error of the API."""


def from_answer(status: int, headers: Mapping[str, str], body: object) -> ModelCallError:
    """Make the error for an error answer, or for an `error` event in a stream (status 200).

    `headers` must have lower-case names.
    """
    failure = _read(status, body)
    return _error(failure, _rule_for(failure) or _UNKNOWN, status, headers)


def from_content(
    status: int, headers: Mapping[str, str], content: bytes, body: Mapping[str, Any] | None
) -> ModelCallError:
    """Make the error for an answer with a successful status that has no message.

    `body` is the JSON object in its `content`, if there is one. If it is an error of the API, it is
    treated as one: some proxies send errors with the status 200.
    """
    failure = _read(_status_in(body) or status, body)
    rule = _rule_for(failure) or (_UNKNOWN if failure.type else None)
    if rule is not None:
        return _error(failure, rule, status, headers)
    kind = headers.get("content-type") or "no content type"
    beginning = content[:_MAX_BEGINNING_BYTES].decode("utf-8", "replace").strip()
    found = f"It begins: {beginning}" if beginning else "It is empty."
    sentence = (
        f"The answer with status {status} and {kind} is not a message of the Messages API. "
        f"Check ANTHROPIC_BASE_URL and the proxies behind it. {found}"
    )
    return _error(replace(failure, message=sentence), _UNREADABLE, status, headers)


def _error(
    failure: _Failure, rule: _Rule, status: int, headers: Mapping[str, str]
) -> ModelCallError:
    return ModelCallError(
        _shorten(failure.message),
        kind=rule.kind,
        retryable=rule.retryable,
        delay_seconds=_delay_seconds(headers) if rule.retryable else None,
        http_status=status,
        request_id=headers.get("request-id"),
    )


def _rule_for(failure: _Failure) -> _Rule | None:
    return next((rule for rule in RULES if rule.applies_to(failure)), None)


def from_connection(error: BaseException, *, request_id: str | None = None) -> ModelCallError:
    """Make the error for a connection that was refused, reset, silent or garbled."""
    while error.__cause__ is not None:  # the SDK's "Connection error." has the details in its cause
        error = error.__cause__
    return ModelCallError(
        _shorten(f"{type(error).__name__}: {error}"),
        kind=ModelFailureKind.CONNECTION,
        retryable=True,
        request_id=request_id,
    )


def _read(status: int, body: object) -> _Failure:
    error = body.get("error") if isinstance(body, Mapping) else None
    fields: Mapping[str, Any] = error if isinstance(error, Mapping) else {}
    details = fields.get("details")
    code = details.get("error_code") if isinstance(details, Mapping) else None
    return _Failure(
        status=status,
        type=str(fields.get("type") or ""),
        code=str(code or ""),
        message=str(fields.get("message") or body or f"The provider answered with {status}."),
    )


def _status_in(body: Mapping[str, Any] | None) -> int | None:
    """The error status that a body gives as its code, as some proxies do."""
    error = (body or {}).get("error")
    code = error.get("code") if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else None  # noqa: PLR2004


def _delay_seconds(headers: Mapping[str, str]) -> float | None:
    """The delay that the provider requests in one of its two headers; a date counts from now."""
    if (milliseconds := _number(headers.get("retry-after-ms"))) is not None:
        return min(milliseconds / 1000, MAX_DELAY_SECONDS)
    value = headers.get("retry-after")
    seconds = _number(value)
    if seconds is None and value is not None:
        seconds = _seconds_until(value)
    return None if seconds is None else min(seconds, MAX_DELAY_SECONDS)


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _seconds_until(http_date: str) -> float | None:
    try:
        moment = email.utils.parsedate_to_datetime(http_date)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)


def _shorten(text: str) -> str:
    return clean(text[:_MAX_DETAIL_CHARACTERS])
