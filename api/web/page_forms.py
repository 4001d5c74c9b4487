"""Forms of pages: the body of a service from the fields of a form, and its problems."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from pydantic import BaseModel

from api.http.bodies import read_model
from api.http.errors import MalformedRequestError, status_of
from api.web.visits import Form
from domain.errors import (
    ConflictError,
    InvalidInputError,
    PerdureError,
    PermissionDeniedError,
    QuotaExceededError,
    RateLimitedError,
)
from domain.people.nested_forms import control_name
from domain.text import TypedText
from services.executions.inputs import MessageBody

M = TypeVar("M", bound=BaseModel)

SHOWN_ERRORS = (
    InvalidInputError,
    ConflictError,
    RateLimitedError,
    QuotaExceededError,
    MalformedRequestError,
    PermissionDeniedError,
)
"""Shown above the form, which keeps what was typed."""


def make_body(model: type[M], members: Mapping[str, Any]) -> M:
    """The body with these members, which is validated like a request of the API.

    Raises:
        InvalidInputError: a member is invalid.
    """
    return read_model(model, json.dumps(members).encode("utf-8", "replace"))


def read_message(form: Form) -> MessageBody:
    """The message of a form, which one of its buttons sends as an interruption.

    Raises:
        InvalidInputError: it is empty or too long.
    """
    is_interrupt = bool(form.text("interrupt"))
    return make_body(MessageBody, {"content": form.text("content"), "interrupt": is_interrupt})


def form_values(form: Form | None, error: PerdureError | None) -> dict[str, Any]:
    """What a template needs to show a form again: the error, its fields, and what was typed."""
    errors: dict[str, str] = {}
    for problem in error.problems if isinstance(error, InvalidInputError) else ():
        errors.setdefault(control_name(problem.loc) or "body", problem.msg)
    return {"error": error, "errors": errors, "typed": read_typed_values(form)}


def status_for(error: PerdureError | None) -> int:
    """The status of a page that shows a form with this error."""
    return HTTPStatus.OK if error is None else status_of(type(error))


def read_typed_values(form: Form | None) -> Mapping[str, Sequence[TypedText]]:
    """The fields of a form as the viewer typed them."""
    entries = {} if form is None else form.entries
    return {name: [TypedText(value) for value in values] for name, values in entries.items()}
