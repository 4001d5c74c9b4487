"""Time limits and retries of the activities, each with its reason."""

from datetime import timedelta

from temporalio.common import RetryPolicy

SEGMENT = timedelta(minutes=15)
"""`call_claude` gives its slot back after this long (design.md, section 5)."""

SEGMENT_WHEN_FULL = timedelta(seconds=30)
"""... and after this long while no slot of the worker is free (design.md, section 5)."""

CACHED_WORKFLOWS = 150
"""Workflows a worker keeps in memory: more than are asked something at a time. What waits, for a
person or for its model, is let go of and comes back from its dozen events in some milliseconds.
With 700 waiting a worker has grown by 50 MB, most of that with any load; 1,000 that were all kept
took 161 MB, and resuming them took no less CPU (measured 2026-11-21)."""

CALL_CLAUDE_START_TO_CLOSE = timedelta(minutes=45)
"""Above a segment: the step in hand may be a model call of 10 minutes and a tool of as long."""

HEARTBEAT = timedelta(seconds=5)
"""A dead worker is noticed this soon: the time to resume after kill -9 (facts, finding 3)."""

HEARTBEAT_EVERY = timedelta(seconds=1)
"""How often an activity beats, and so how soon it hears of a cancel from the Temporal UI."""

STICKY = timedelta(seconds=1)
"""A dead worker's sticky queue is given up this soon (default 10 s; facts, finding 3)."""

DATABASE_STEP = timedelta(seconds=20)
"""One short transaction, with room for a Postgres that restarts under it (chosen)."""

REPORTS_AT_ONCE = 4
"""Of one worker: composing one keeps a core busy, and takes up to a second or two (chosen)."""

REPORT_START_TO_CLOSE = timedelta(seconds=15)
"""One try: gathering a long execution's rows takes a second or two (chosen)."""

REPORT_SCHEDULE_TO_CLOSE = timedelta(seconds=30)
"""The report comes before the end, 30 s at most, tries included (contract.md, section 7)."""

DELIVERIES_AT_ONCE = 20
"""Of one worker: with 15 s for a receiver that says nothing, 80 dead ones a minute (chosen)."""

DELIVERY_TRY = timedelta(seconds=60)
"""One try of a notification: an exchange of 15 s at most, mail of 30 s, and three short
transactions, with room for a Postgres that restarts under them (chosen)."""

DELIVERY_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=0,
)
"""For a worker or a database that died in a try. When to try a receiver again, and when no more,
the activity says, from the record (`domain.notifications.delay_after`)."""

FOREVER = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=1.0, maximum_attempts=0
)
"""Retries belong to the loop, which counts from the record; an activity that fails is only a worker
or a database that died, and is tried again every second until one lives (design.md, section 5)."""

REPORT_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_attempts=3
)
"""A report that can't be made sets `report_error` and fails nothing."""
