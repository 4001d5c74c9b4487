"""The payloads of the delivery of notifications."""

from abc import ABC, abstractmethod
from typing import Literal
from uuid import UUID

from temporalio import activity

from contracts.payloads import Contract
from domain.people.notifications import Delivery


class DeliverInput(Contract):
    """The notification to deliver."""

    notification_id: UUID


class DeliverResult(Contract):
    """The final status. Everything else is in Postgres."""

    status: Literal[Delivery.DELIVERED, Delivery.FAILED]


class NotificationActivities(ABC):
    """The activities of the delivery workflow."""

    @activity.defn(name="deliver_notification")
    @abstractmethod
    async def deliver_notification(self, given: DeliverInput) -> DeliverResult:
        """Make one attempt. A repeat after the end returns the status that was written.

        A receiver that gets a message twice recognises it by its id.
        """
