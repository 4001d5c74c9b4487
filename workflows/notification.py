"""One notification's delivery as a workflow: tried until it is taken, refused or given up.

When to try again is the activity's to say, which counts from the record. Deterministic code only.
"""

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts import names, policies
    from contracts.notifications import DeliverInput, DeliverResult, NotificationActivities
    from domain.notifications import Delivery

STATUS = SearchAttributeKey.for_keyword(names.STATUS)


@workflow.defn(name=names.NOTIFICATION_DELIVERY)
class NotificationDelivery:
    """Delivers one notification."""

    @workflow.run
    async def run(self, start: DeliverInput) -> DeliverResult:
        """Until it is delivered; a delivery that is given up fails the workflow."""
        result = await workflow.execute_activity_method(
            NotificationActivities.deliver,
            start,
            start_to_close_timeout=policies.DELIVERY_TRY,
            heartbeat_timeout=policies.HEARTBEAT,
            retry_policy=policies.DELIVERY_RETRIES,
            summary="Deliver; its record holds every try",
        )
        workflow.upsert_search_attributes([STATUS.value_set(result.status)])
        if result.status is Delivery.FAILED:
            raise ApplicationError(
                "The notification was given up; its record says why.",
                type="delivery_failed",
                non_retryable=True,
            )
        return result
