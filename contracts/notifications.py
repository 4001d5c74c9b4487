"""Notifications: what a task may be configured for, and what their workflow carries: ids only."""

from abc import ABC, abstractmethod
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field
from temporalio import activity

from contracts.definitions import Contract
from domain.notifications import EVENTS, Delivery
from domain.secrets import NAME

EMAIL = (
    r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
    r"@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$"
)
"""What HTML takes for an address (its standard, 4.10.5.1.5); whose it is only a delivery shows."""

SECRET_REFERENCE = rf"^(secret://)?{NAME}$"

TARGETS = 10
"""Of one kind: each is a delivery of its own for each event (chosen)."""


def _known(event: str) -> str:
    if event not in EVENTS:
        raise ValueError(f"there is no such event to be told of; choose from {', '.join(EVENTS)}")
    return event


Events = Annotated[
    tuple[Annotated[str, AfterValidator(_known)], ...], Field(min_length=1, max_length=len(EVENTS))
]
SecretRef = Annotated[str, Field(pattern=SECRET_REFERENCE)]
Url = Annotated[str, Field(min_length=1, max_length=2048)]


class WebhookTarget(Contract):
    """An address that is sent JSON, signed with the secret `secret_ref` (Standard Webhooks)."""

    url: Url
    events: Events | None = None
    secret_ref: SecretRef | None = None


class EmailTarget(Contract):
    """Somebody's address."""

    to: Annotated[str, Field(max_length=254, pattern=EMAIL)]
    events: Events | None = None


class SlackTarget(Contract):
    """A Slack incoming webhook: its address, or the secret that holds it."""

    url: Url | None = None
    secret_ref: SecretRef | None = None
    events: Events | None = None


def _as_target(value: Any) -> Any:
    return {"to": value} if isinstance(value, str) else value


class NotificationConfig(Contract):
    """Whom to tell what of a task's executions. An e-mail target may be the address alone."""

    webhooks: Annotated[tuple[WebhookTarget, ...], Field(max_length=TARGETS)] = ()
    email: Annotated[
        tuple[Annotated[EmailTarget, BeforeValidator(_as_target)], ...], Field(max_length=TARGETS)
    ] = ()
    slack: Annotated[tuple[SlackTarget, ...], Field(max_length=TARGETS)] = ()


class DeliverInput(Contract):
    """Which notification."""

    notification_id: UUID


class DeliverResult(Contract):
    """How it ended; everything else is in Postgres."""

    status: Literal[Delivery.DELIVERED, Delivery.FAILED]


class NotificationActivities(ABC):
    """What the delivery's workflow calls."""

    @activity.defn(name="deliver")
    @abstractmethod
    async def deliver(self, start: DeliverInput) -> DeliverResult:
        """One try. A repeat after an end returns what was written; the receiver knows the id."""
