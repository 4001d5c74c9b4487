"""Keeping Temporal's schedules in step with tasks, at the gateway."""

from uuid import UUID

from api.gateway import Gateway
from services.scheduling.synchronisation import synchronise


async def keep_in_step(gateway: Gateway, task_id: UUID) -> bool:
    """Tell Temporal what a committed change means for the task's schedule, if it means anything.

    False where Temporal is away: the worker's upkeep tells it then.
    """
    return await synchronise(gateway.database, gateway.schedules, task_id)
