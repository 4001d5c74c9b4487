"""Phases of executions and of requests: which functions belong to each.

A function is `name (path of its module)`, as in samples. The functions that it calls belong to its
phase too, unless they are listed in another one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from bench.flame_graph import Stacks

WORKER: Mapping[str, Sequence[str]] = {
    "begin a segment: session, prompt, record, signals": (
        "confirm_late_attempt (activities/call_claude.py)",
        "Activities._start_and_run (activities/execution.py)",
        "ExecutionRunner._run (activities/call_claude.py)",
        "Loop.run (agent/loop.py)",
        "Attempt.read_inbox (agent/attempt.py)",
    ),
    "call the model": (
        "ModelTurn.call (agent/model_turn.py)",
        "ResponseHandler.data_received (aiohttp/client_proto.py)",
        "ClientRequest.write_bytes (aiohttp/client_reqrep.py)",
    ),
    "run tools": (
        "ToolTurn.run (agent/tool_turn.py)",
        "ToolTurn._run_call (agent/tool_turn.py)",
        "ToolTurn._record_outcome (agent/tool_turn.py)",
        "ModelTurn._open_tools (agent/model_turn.py)",
        "list_files (tools/listing.py)",
    ),
    "write steps": ("Attempt._write (agent/attempt.py)",),
    "end": ("Activities._try_to_end (activities/execution.py)",),
    "run the workflow": (
        "_WorkflowWorker.run (temporalio/worker/_workflow.py)",
        "_WorkflowWorker._handle_activation (temporalio/worker/_workflow.py)",
        "_WorkflowInstanceImpl.activate (temporalio/worker/_workflow_instance.py)",
    ),
    "receive activities, send heartbeats and results": (
        "_ActivityWorker.run (temporalio/worker/_activity.py)",
        "_ActivityWorker._handle_start_activity_task (temporalio/worker/_activity.py)",
        "_ActivityWorker._heartbeat_async (temporalio/worker/_activity.py)",
    ),
    "background tasks, live updates": (
        "_run_after (activities/background_tasks.py)",
        "LiveWatchers._send (activities/live_updates.py)",
    ),
}

GATEWAY: Mapping[str, Sequence[str]] = {
    "receive the request, send the response": (
        "LimitedProtocol.data_received (api/http/connections.py)",
        "RequestMiddleware.__call__ (api/http/middleware.py)",
    ),
    "check the caller": (
        "_authenticate (api/http/request_context.py)",
        "Call.require_current_credentials (api/http/request_context.py)",
    ),
    "run the service in a transaction": ("run_service (api/http/idempotency.py)",),
    "start or wake the workflow": (
        "_start_workflow (services/unit_of_work.py)",
        "_wake_workflow (services/unit_of_work.py)",
    ),
    "wait for the end, read it": (
        "_wait_until_settled (api/executions/waiting.py)",
        "LiveUpdates._check (api/live_updates.py)",
        "LiveUpdates._on_live (api/live_updates.py)",
        "CachedReads._read_requested (persistence/executions/cached_reads.py)",
    ),
}

BY_ROLE: Mapping[str, Mapping[str, Sequence[str]]] = {"worker": WORKER, "api": GATEWAY}

SQLALCHEMY = "statements of SQLAlchemy, of all phases"
"""It runs them in greenlets, whose stacks do not contain the functions that called them."""

EVENT_LOOP = "event loop and connections"


def count_by_phase(stacks: Stacks, phases: Mapping[str, Sequence[str]]) -> Counter[str]:
    """Samples of each phase: each counts for its innermost function that belongs to a phase."""
    phase_of = {function: phase for phase, functions in phases.items() for function in functions}
    found: Counter[str] = Counter()
    for stack, samples in stacks.items():
        of_sqlalchemy = any("(sqlalchemy/" in function for function in stack)
        default = SQLALCHEMY if of_sqlalchemy else EVENT_LOOP
        found[next((phase_of[f] for f in reversed(stack) if f in phase_of), default)] += samples
    return found
