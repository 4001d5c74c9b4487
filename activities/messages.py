"""The text of a notification: its payload, created once and stored; its mail and Slack forms."""

import html
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from activities.message_links import WaysToAnswer
from domain.people.notifications import ASKING_EVENTS, TERMINAL_EVENTS, TEST_EVENT
from domain.text import escape_slack, harmless
from persistence.notifications.deliveries import NotificationSource
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow
from runtime.mail import Mail
from services.executions.slack_buttons import LABELS, SlackButton

VERSION = 1
"""The version of the payload. It may get new fields; no field is renamed."""

EXCERPT = 2000
"""Characters of a result that are sent; the gateway returns all of it (chosen)."""

FOOTER = "You receive this message because a task in Perdure sends its notifications here."

_API = "/api/v1"

VERBS = {
    "execution.started": "has started",
    "execution.completed": "has completed",
    "execution.failed": "has failed",
    "execution.cancelled": "was cancelled",
    "input.requested": "needs your input",
    "input.answered": "received an answer",
    "input.expired": "received no answer in time",
    "input.reminded": "still needs your input",
    "input.escalated": "was escalated and needs your input",
    "input.mentioned": "has a comment that mentions you",
    "report.ready": "has a new report",
    TEST_EVENT: "test notification",
}
"""What follows the title in a subject line."""

STATUS = {
    "execution.started": "running",
    "execution.completed": "completed",
    "execution.failed": "failed",
    "execution.cancelled": "cancelled",
    **dict.fromkeys(ASKING_EVENTS, "waiting_for_user"),
}
"""The status of the execution after the event. The row may have changed since then."""

_EMOJI = {
    "execution.completed": "✅",
    "execution.failed": "❌",
    **dict.fromkeys(ASKING_EVENTS, "✋"),
}

_LINK = (
    "This link answers without a sign-in, as you, once and within three days. Do not pass it on:"
)

_NO_WAYS = WaysToAnswer()

Payload = Mapping[str, Any]


def make_payload(event_type: str, source: NotificationSource | None) -> dict[str, Any]:
    """Return the body of a webhook. Its links are paths of the API, for programs.

    Mail and Slack messages link only to the page of a request: a browser cannot open the API.
    """
    at = datetime.now(UTC) if source is None else source.event.at
    return {
        "type": event_type,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "version": VERSION,
        "data": _test_data() if source is None else _data(source),
    }


def _test_data() -> dict[str, Any]:
    return {"title": "Perdure", "summary": "This is a test. Perdure can send notifications here."}


def _data(source: NotificationSource) -> dict[str, Any]:
    row, kind = source.execution, source.event.type
    data: dict[str, Any] = {
        "execution_id": str(row.id),
        "task_id": row.task_id and str(row.task_id),
        "title": row.title,
        "status": STATUS.get(kind),
        "links": _links(row),
    }
    if kind in TERMINAL_EVENTS:
        data |= {
            "summary": row.summary,
            "result": _result(row) if kind == "execution.completed" else None,
            "error_code": row.error_code,
            "error_message": row.error_message,
            "reason": row.cancel_reason,
            "cost_usd": float(row.cost_usd),
            "is_scripted": row.is_scripted,
        }
    if source.request is not None:
        data["input_request"] = _request(source.request)
    return {name: value for name, value in data.items() if value is not None}


def _result(row: ExecutionRow) -> dict[str, Any] | None:
    text = (row.result_data or {}).get("text")
    if not isinstance(text, str):
        return None
    return {"text": text[:EXCERPT], "is_cut": len(text) > EXCERPT}


def _links(row: ExecutionRow) -> dict[str, str]:
    execution = f"{_API}/task-executions/{row.id}"
    links = {"execution": execution, "page": f"/executions/{row.id}"}
    if row.task_id is not None:
        links["task"] = f"{_API}/tasks/{row.task_id}"
    if row.report_id is not None:
        links["report"] = f"{execution}/report"
    return links


def _request(row: InputRequestRow) -> dict[str, Any]:
    """Return the request without the tool's input, which may hold secrets."""
    path = f"{_API}/input-requests/{row.id}"
    return {
        "id": str(row.id),
        "kind": row.kind,
        "title": row.title,
        "status": row.status,
        "due_at": row.due_at and row.due_at.isoformat().replace("+00:00", "Z"),
        "links": {"self": path, "answer": f"{path}/answer", "page": f"/inbox/{row.id}"},
    }


def make_mail(
    payload: Payload,
    to: str,
    message_id: str,
    public_url: str | None = None,
    ways: WaysToAnswer = _NO_WAYS,
) -> Mail:
    """Return the message as mail, in plain text and in simple HTML."""
    subject, lines = headline(payload), _lines(payload, public_url, ways)
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    if ways.link is not None:
        anchor = f'<a href="{ways.link}">Answer without a sign-in</a>'
        paragraphs = paragraphs.replace(html.escape(ways.link), anchor)
    return Mail(
        to=to,
        subject=subject,
        text="\n\n".join([f"{subject}.", *lines, FOOTER]) + "\n",
        html=f"<h2>{html.escape(subject)}</h2>{paragraphs}<p><small>{FOOTER}</small></p>",
        message_id=f"<{message_id}@perdure>",
    )


def make_slack_message(
    payload: Payload, public_url: str | None = None, ways: WaysToAnswer = _NO_WAYS
) -> dict[str, Any]:
    """Return the message as a Slack incoming webhook accepts it."""
    title = escape_slack(headline(payload))
    emoji = _EMOJI.get(payload["type"], "ℹ️")  # noqa: RUF001 - Slack shows it as a picture
    blocks: list[dict[str, Any]] = [_section(f"{emoji} *{title}*")]
    blocks += [_section(escape_slack(line)) for line in _lines(payload, public_url, ways)]
    if ways.buttons:
        shown = harmless(ways.tool_input)
        blocks.append({"type": "section", "text": _plain_text(shown)})
        blocks.append({"type": "actions", "elements": [_button(b) for b in ways.buttons]})
    return {"text": title, "blocks": blocks}


def headline(payload: Payload) -> str:
    """Return the subject line: the title and what happened."""
    title = " ".join(str(payload["data"].get("title", "")).split())[:150]
    return f"{title} {VERBS.get(payload['type'], payload['type'])}"


def _lines(payload: Payload, public_url: str | None, ways: WaysToAnswer) -> list[str]:
    data = payload["data"]
    request = data.get("input_request") or {}
    due_at = request.get("due_at")
    due = (
        f"Answer before {datetime.fromisoformat(due_at):%B %-d, %Y, %H:%M} UTC." if due_at else None
    )
    is_open = payload["type"] in ASKING_EVENTS and "id" in request
    answer = _describe_answer(request, public_url) if is_open else None
    link = None if ways.link is None else f"{_LINK} {ways.link}"
    failure = data.get("error_message") or data.get("error_code")
    scripted = "The scripted model answered, not Claude." if data.get("is_scripted") else None
    page = None if is_open or public_url is None else data.get("links", {}).get("page")
    details = f"Details: {str(public_url).rstrip('/')}{page}" if page else None
    result = (data.get("summary"), failure, scripted, details)
    lines = (request.get("title"), due, link, answer, *result)
    return [str(line) for line in lines if line]


def _describe_answer(request: Mapping[str, Any], public_url: str | None) -> str:
    """Return how to answer. The page needs a sign-in, so its link is not a secret."""
    command = f"perdure inbox answer {request['id']}"
    page = request["links"].get("page")
    if public_url is None or page is None:
        return f"To answer, run: {command}"
    return f"To answer, open {public_url.rstrip('/')}{page} or run: {command}"


def _button(button: SlackButton) -> dict[str, Any]:
    return {
        "type": "button",
        "action_id": f"answer_{button.decision}",
        "text": _plain_text(LABELS[button.decision]),
        "value": button.value,
    }


def _plain_text(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text[:3000], "emoji": False}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}}
