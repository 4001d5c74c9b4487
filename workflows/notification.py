"""The workflow that delivers one notification. Deterministic code only.

The activity decides when to retry, because Postgres counts the attempts.
"""

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts import names, policies
    from contracts.notifications import DeliverInput, DeliverResult, NotificationActivities
    from domain.people.notifications import Delivery

STATUS = SearchAttributeKey.for_keyword(names.STATUS)


@workflow.defn(name=names.NOTIFICATION_DELIVERY)
class NotificationDelivery:
    """Retries the delivery until the receiver accepts it or refuses it, or attempts run out."""

    @workflow.run
    async def run(self, given: DeliverInput) -> DeliverResult:
        """Deliver the notification. If the delivery fails, the workflow fails."""
        result = await workflow.execute_activity_method(
            NotificationActivities.deliver_notification,
            given,
            start_to_close_timeout=policies.DELIVERY_START_TO_CLOSE,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.DELIVERY_RETRIES,
            summary="Deliver the notification",
        )
        workflow.upsert_search_attributes([STATUS.value_set(result.status)])
        if result.status is Delivery.FAILED:
            raise ApplicationError(
                "The delivery failed. Read its error in Perdure.",
                type="delivery_failed",
                non_retryable=True,
            )
        return result
