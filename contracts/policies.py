"""Time limits and retries of the activities, each with its reason."""

from datetime import timedelta

from temporalio.common import RetryPolicy

SEGMENT = timedelta(minutes=15)
"""`call_claude` returns its slot after this long (chosen)."""

SEGMENT_WHEN_FULL = timedelta(seconds=30)
"""The same while no slot of the worker is free (chosen)."""

CACHED_WORKFLOWS = 100
"""Workflows that a worker keeps in memory. A waiting workflow is evicted, and replays from about a
dozen events. A cached one needs 95 KB (27 KB in Python). With 1,000 executions that wait, the
memory of a worker grows by 15 MB with a cache of 50, by 17 MB with 100 and by 25 MB with 150. An
evicted one needs half as much CPU again of the worker and Temporal to resume: 76 ms and not 50 (300
waiting). With 100 and with 200 executions in flight, a cache of 150 saves no CPU (a busy machine;
all measured 2026-11-29)."""

WORKFLOW_TASKS_AT_ONCE = 10
"""Workflow tasks that a worker has accepted and not completed. With the SDK's 100, a busy worker
that replayed evicted workflows completed hardly any task before Temporal repeated it: each resumed
execution needed several (measured 2026-11-29, with a timeout of 10 s). With 100 executions in
flight, each one takes 5 % more CPU with 5 tasks, and 12 % more with 30. The SDK's five pollers for
each kind of task stay: with two of each it is 8 % more, and with ten nothing changes (measured
2026-11-29)."""

WORKFLOW_TASK = timedelta(seconds=7)
"""Temporal repeats a workflow task after this long if the worker that accepted it has died. With
the default of 10 s, the executions that were at such a task continued 4 s after those that were at
a call of Claude (measured 2026-11-29). A busy worker has this long for `WORKFLOW_TASKS_AT_ONCE`."""

CALL_CLAUDE_START_TO_CLOSE = timedelta(minutes=45)
"""A segment, and then a last step: a model call of 10 minutes and a tool of the same length."""

HEARTBEAT = timedelta(seconds=5)
"""A dead worker is detected after this long: the time to resume after kill -9 (chosen)."""

HOST_ANSWERS = timedelta(seconds=5)
"""A host that takes no `call_claude` from its queue for this long does not answer, or all its slots
are taken (chosen)."""

HOST_ANSWERS_AT_MOST = timedelta(seconds=60)
"""The same limit after it was doubled several times, for a host that runs and has no free slot
(chosen: each time adds six events to the history)."""

HEARTBEAT_EVERY = timedelta(seconds=2.4)
"""A heartbeat costs 2 to 3 ms of CPU, most of it in Temporal (60 activities at once, measured
2026-11-29), so only two of them are sent within `HEARTBEAT`. A server that sends no commands to
workers reports a cancellation in its UI with the next heartbeat."""

STICKY = timedelta(seconds=2)
"""The sticky queue of a dead worker is abandoned after this long. The default of 10 s would delay a
resumed execution; a repeated segment does not wait for it (`leave_sticky_queue`). A busy worker
takes tasks later than this, and each one then costs Temporal two more writes: of 200 executions
that resumed at once, 0.9 each had that with 1 s, and 0.2 with 5 s (measured 2026-11-29)."""

DATABASE_STEP = timedelta(seconds=20)
"""One short transaction, with time for a restart of Postgres (chosen)."""

REPORTS_AT_ONCE = 4
"""Per worker. Composing a report keeps a core busy for up to two seconds (chosen)."""

REPORT_START_TO_CLOSE = timedelta(seconds=15)
"""One attempt. Reading the rows of a long execution takes one or two seconds (chosen)."""

REPORT_SCHEDULE_TO_CLOSE = timedelta(seconds=30)
"""All attempts: a report delays the end by 30 s at most."""

DELIVERIES_AT_ONCE = 20
"""Per worker. With a timeout of 15 s, 80 unreachable receivers per minute (chosen)."""

DELIVERY_START_TO_CLOSE = timedelta(seconds=60)
"""One attempt: a request of 15 s or mail of 30 s at most, and three short transactions, with time
for a restart of Postgres (chosen)."""

DELIVERY_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(minutes=5),
    maximum_attempts=0,
)
"""For an attempt whose worker or database failed. After a failed delivery, the activity sets the
delay (`domain.people.notifications.delay_after`) or ends the retries."""

FOREVER = RetryPolicy(
    initial_interval=timedelta(seconds=0.1),
    backoff_coefficient=10.0,
    maximum_interval=timedelta(seconds=1),
    maximum_attempts=0,
)
"""The loop retries model calls and counts from the record. If an activity fails, its worker or
database failed, so it is retried until both work: soon, because a dead worker is only noticed
after `HEARTBEAT`, and then every second."""

STALLED_RETRY = timedelta(seconds=2)
"""After the second attempt in a row that fails without a new step; twice as long after each further
one. The attempts that an execution has then take 30 s together, so that an artifact store that is
unavailable for a short time does not fail it (chosen)."""

ON_HOST = RetryPolicy(
    initial_interval=FOREVER.initial_interval,
    backoff_coefficient=FOREVER.backoff_coefficient,
    maximum_interval=FOREVER.maximum_interval,
    maximum_attempts=0,
    non_retryable_error_types=["TemporalTimeout:Heartbeat"],
)
"""As `FOREVER`, but if the worker dies, the workflow decides where to continue. The name is that of
the server (service/history/workflow/retry.go, 1.32)."""

REPORT_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2.0, maximum_attempts=3
)
"""A report that cannot be created sets `report_error`; the execution still completes."""
