"""`_links` that depend on the caller or on the state of a resource; the others are in schemas."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from api.http.request_context import Call
from domain.executions.states import TERMINAL, WORKER_BLOCKED, ExecutionStatus
from domain.plans.plan import PlanAction
from persistence.tables.sessions import InputRequestRow

BASE = "/api/v1"
INBOX = "/inbox"
SIGN_IN = "/sign-in"
SLACK = "/settings/slack"
ANSWER = "/answer"
"""Pages of links that answer an input request without a sign-in."""

NOT_STARTED = (ExecutionStatus.PENDING, ExecutionStatus.BLOCKED)

LOCAL_PATH = r"^/([!-.0-\[\]-~][!-\[\]-~]*)?$"
"""A path of this gateway. Browsers read `//` and `/\\` at the beginning as another host."""

_READ_BY_ASSIGNEES = frozenset({
    "self", "page", "events", "messages", "tool_calls", "model_calls", "memory", "children", "tree",
    "input_requests", "artifacts", "files", "report",
})  # fmt: skip
"""What the assignee of an input request reads of another user's execution."""

Links = dict[str, str]


def task(task_id: UUID, *, is_own: bool = True) -> Links:
    """Links of a task; only its owner gets links to the schedule and the hooks."""
    path = f"{BASE}/tasks/{task_id}"
    links = {
        "self": path,
        "execute": f"{path}/execute",
        "executions": f"{path}/executions",
        "versions": f"{path}/versions",
        "dry_run": f"{path}/dry-run",
        "remembered_decisions": f"{BASE}/remembered-decisions?task_id={task_id}",
    }
    if is_own:
        links |= {"schedule": f"{path}/schedule", "hooks": f"{path}/hooks"}
    return links


def execution(call: Call, columns: Mapping[str, Any], unreadable: Collection[UUID]) -> Links:
    """Links of an execution; only operators get a link to Temporal's UI."""
    path = execution_path(columns["id"])
    links = _list_parts(path, columns)
    if not call.caller.owns(columns["user_id"]):
        return {name: link for name, link in links.items() if name in _READ_BY_ASSIGNEES}
    links["remembered_decisions"] = f"{BASE}/remembered-decisions?execution_id={columns['id']}"
    if (task_id := columns["task_id"]) and task_id not in unreadable:
        links["task"] = f"{BASE}/tasks/{task_id}"
    if (session_id := columns["session_id"]) and session_id not in unreadable:
        links["session"] = f"{BASE}/sessions/{session_id}"
    links |= {name: f"{path}/{name}" for name in _list_actions(columns)}
    if parent_id := columns["parent_execution_id"]:
        links["parent"] = execution_path(parent_id)
    if retried_id := columns["retry_of_id"]:
        links["retry_of"] = execution_path(retried_id)
    if temporal := temporal_page(call, columns["workflow_id"]):
        links["temporal"] = temporal
    return links


def _list_parts(path: str, columns: Mapping[str, Any]) -> dict[str, str]:
    """Links to the execution itself and to what it consists of."""
    links = {
        "self": path,
        "page": f"/executions/{columns['id']}",
        "events": f"{path}/events",
        "messages": f"{path}/messages",
        "tool_calls": f"{path}/tool-calls",
        "model_calls": f"{path}/model-calls",
        "memory": f"{path}/memory",
        "children": f"{path}/children",
        "tree": f"{path}/tree",
        "prerequisites": f"{path}/prerequisites",
        "fork": f"{path}/fork",
        "input_requests": f"{BASE}/input-requests?execution_id={columns['id']}",
        "artifacts": f"{path}/artifacts",
        "files": f"{path}/files",
    }
    if columns["report_id"]:
        links["report"] = f"{path}/report"
    return links


def _list_actions(columns: Mapping[str, Any]) -> Sequence[str]:
    """The actions that are possible in the execution's status."""
    if columns["status"] in TERMINAL:
        return ["retry"]
    can_finish = columns["executor"] == "claude" and columns["status"] not in NOT_STARTED
    is_stopped = columns["pause_requested_at"] or columns["status_reason"] == WORKER_BLOCKED
    return ["cancel", *(["finish"] if can_finish else []), "resume" if is_stopped else "pause"]


def execution_path(execution_id: UUID) -> str:
    """The path of an execution."""
    return f"{BASE}/task-executions/{execution_id}"


def input_request(row: InputRequestRow) -> Links:
    """Links of an input request."""
    path = f"{BASE}/input-requests/{row.id}"
    links = {
        "self": path,
        "page": request_page(row.id),
        "comments": f"{path}/comments",
        "execution": execution_path(row.execution_id),
    }
    if row.held_rule is not None:
        links["withdraw"] = f"{path}/withdraw"
    if row.status == "open":
        links |= {"answer": f"{path}/answer", "assign": f"{path}/assign"}
        action = "claim" if row.claimed_by is None else "release"
        links[action] = f"{path}/{action}"
    return links


def plan(plan_id: UUID, execution_id: UUID | None, action: PlanAction | None) -> Links:
    """Links of a plan; `execution_id` is its newest run, `action` what can be done with it."""
    path = f"{BASE}/plans/{plan_id}"
    links = {"self": path, "graph": f"{path}/graph.svg", "report": f"{path}/report"}
    if execution_id is not None:
        run = execution_path(execution_id)
        links |= {
            "execution": run,
            "events": f"{run}/events",
            "input_requests": f"{BASE}/input-requests?execution_id={execution_id}",
        }
    return {**links, action: f"{path}/{action}"} if action else links


def plan_step(plan_id: UUID, key: str, execution_id: UUID | None, *, can_retry: bool) -> Links:
    """Links of a step of a plan."""
    links = {} if execution_id is None else {"execution": execution_path(execution_id)}
    if can_retry:
        links["retry"] = f"{BASE}/plans/{plan_id}/steps/{key}/retry"
    return links


def request_page(request_id: UUID) -> str:
    """The path of the page on which a person answers an input request."""
    return f"{INBOX}/{request_id}"


def sign_in_path(page: str) -> str:
    """The path of the sign-in page, from which the browser continues to `page`."""
    return f"{SIGN_IN}?{urlencode({'next': page})}"


def temporal_page(call: Call, workflow_id: str) -> str | None:
    """The URL of a workflow in Temporal's UI, for operators."""
    settings = call.gateway.settings
    if not call.principal.is_admin or settings.temporal_ui_url is None:
        return None
    ui = settings.temporal_ui_url.rstrip("/")
    return f"{ui}/namespaces/{settings.temporal_namespace}/workflows/{workflow_id}"
