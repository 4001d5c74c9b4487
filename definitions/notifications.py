"""The notifications of a task: who receives which events."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from definitions.tasks import DefinitionModel
from domain.people.notifications import EVENTS
from domain.secrets import NAME

EMAIL = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
)
"""A valid e-mail address in HTML (HTML standard, section 4.10.5.1.5)."""

SECRET_REFERENCE = rf"^(secret://)?{NAME}$"

TARGETS = 10
"""Maximum number of one kind; each of them causes one delivery per event (chosen)."""


def _check_event(event: str) -> str:
    if event not in EVENTS:
        raise ValueError(f"unknown event; use one of {', '.join(EVENTS)}")
    return event


Events = Annotated[
    tuple[Annotated[str, AfterValidator(_check_event)], ...],
    Field(min_length=1, max_length=len(EVENTS)),
]
SecretRef = Annotated[str, Field(pattern=SECRET_REFERENCE)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]


class WebhookTarget(DefinitionModel):
    """A URL that receives JSON, signed with the secret `secret_ref` (Standard Webhooks)."""

    url: Url
    events: Events | None = None
    secret_ref: SecretRef | None = None


AnswerLinks = Annotated[
    bool,
    Field(
        description="Whether messages about input requests contain a link that answers once as "
        "the owner of the task, without a sign-in: for a mailbox or channel that only they read."
    ),
]


class EmailTarget(DefinitionModel):
    """An address that receives mail.

    If it is the verified address of one user who may answer a request, the mail about it contains
    a link with which this user answers, in any case.
    """

    to: Annotated[str, Field(max_length=254, pattern=EMAIL)]
    events: Events | None = None
    has_answer_links: AnswerLinks = False


class SlackTarget(DefinitionModel):
    """A Slack incoming webhook: its URL, or the secret that holds its URL."""

    url: Url | None = None
    secret_ref: SecretRef | None = None
    events: Events | None = None
    has_answer_links: AnswerLinks = False
    has_buttons: Annotated[
        bool,
        Field(
            description="Whether messages about tool calls show the input and have buttons, with "
            "which people answer who have linked their account of Slack."
        ),
    ] = False


def _as_target(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class NotificationConfig(DefinitionModel):
    """Who is notified of which events of a task. An e-mail target may be only the address."""

    webhooks: Annotated[tuple[WebhookTarget, ...], Field(max_length=TARGETS)] = ()
    email: Annotated[
        tuple[Annotated[EmailTarget, BeforeValidator(_as_target)], ...], Field(max_length=TARGETS)
    ] = ()
    slack: Annotated[tuple[SlackTarget, ...], Field(max_length=TARGETS)] = ()
