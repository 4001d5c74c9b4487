"""The text of notifications: the stored payload, and its formats for mail and Slack."""

import html
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.notifications import TERMINAL_EVENTS, TEST_EVENT
from persistence.notifications.deliveries import Story
from persistence.tables.executions import ExecutionRow
from persistence.tables.input_requests import InputRequestRow
from runtime.mail import Mail

VERSION = 1
"""Version of the payload. New fields do not change it; fields are never renamed."""

EXCERPT = 2000
"""Maximum characters of a result; the gateway returns the full text (chosen)."""

_API = "/api/v1"

OUTCOMES = {
    "execution.started": "started",
    "execution.completed": "completed",
    "execution.failed": "failed",
    "execution.cancelled": "was cancelled",
    "input.requested": "needs your input",
    "input.answered": "received an answer",
    "input.expired": "received no answer in time",
    "report.ready": "has a report",
    TEST_EVENT: "test notification",
}
"""The text after the title."""

STATUS = {
    "execution.started": "running",
    "execution.completed": "completed",
    "execution.failed": "failed",
    "execution.cancelled": "cancelled",
    "input.requested": "waiting_for_user",
}
"""The status after the event. The row may have changed by the time of delivery."""

_SIGNS = {"execution.completed": "✅", "execution.failed": "❌", "input.requested": "✋"}

Payload = Mapping[str, Any]


def payload_of(event_type: str, story: Story | None, public_url: str | None) -> dict[str, Any]:
    """The payload for webhooks. With `public_url`, its links are absolute."""
    at = datetime.now(UTC) if story is None else story.event.at
    return {
        "type": event_type,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "version": VERSION,
        "data": _test() if story is None else _data(story, (public_url or "").rstrip("/")),
    }


def _test() -> dict[str, Any]:
    return {"title": "Perdure", "summary": "This is a test. You will receive notifications here."}


def _data(story: Story, base: str) -> dict[str, Any]:
    row, kind = story.execution, story.event.type
    data: dict[str, Any] = {
        "execution_id": str(row.id),
        "task_id": row.task_id and str(row.task_id),
        "title": row.title,
        "status": STATUS.get(kind),
        "links": _links(row, base),
    }
    if kind in TERMINAL_EVENTS:
        data |= {
            "summary": row.summary,
            "result": _result(row) if kind == "execution.completed" else None,
            "error_code": row.error_code,
            "error_message": row.error_message,
            "reason": row.cancel_reason,
            "cost_usd": float(row.cost_usd),
        }
    if story.request is not None:
        data["input_request"] = _request(story.request, base)
    return {name: value for name, value in data.items() if value is not None}


def _result(row: ExecutionRow) -> dict[str, Any] | None:
    text = (row.result_data or {}).get("text")
    if not isinstance(text, str):
        return None
    return {"text": text[:EXCERPT], "is_cut": len(text) > EXCERPT}


def _links(row: ExecutionRow, base: str) -> dict[str, str]:
    execution = f"{base}{_API}/task-executions/{row.id}"
    links = {"execution": execution}
    if row.task_id is not None:
        links["task"] = f"{base}{_API}/tasks/{row.task_id}"
    if row.report_id is not None:
        links["report"] = f"{execution}/report"
    return links


def _request(row: InputRequestRow, base: str) -> dict[str, Any]:
    """The input request, without the tool input, which may contain any data."""
    path = f"{base}{_API}/input-requests/{row.id}"
    return {
        "id": str(row.id),
        "kind": row.kind,
        "title": row.title,
        "status": row.status,
        "due_at": row.due_at and row.due_at.isoformat().replace("+00:00", "Z"),
        "links": {"self": path, "answer": f"{path}/answer"},
    }


def mail_of(payload: Payload, to: str, message_id: str) -> Mail:
    """The notification as mail, with plain text and HTML."""
    lines = _lines(payload)
    link = _link(payload)
    text = "\n\n".join([headline(payload), *lines, *([link] if link else [])])
    paragraphs = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    anchor = f'<p><a href="{html.escape(link)}">Open it in Perdure</a></p>' if link else ""
    return Mail(
        to=to,
        subject=headline(payload),
        text=text + "\n",
        html=f"<h2>{html.escape(headline(payload))}</h2>{paragraphs}{anchor}",
        message_id=f"<{message_id}@perdure>",
    )


def slack_of(payload: Payload) -> dict[str, Any]:
    """The notification as the body of a Slack incoming webhook."""
    title = _slack(headline(payload))
    sign = _SIGNS.get(payload["type"], "ℹ️")  # noqa: RUF001 - Slack shows it as an icon
    blocks: list[dict[str, Any]] = [_section(f"{sign} *{title}*")]
    blocks += [_section(_slack(line)) for line in _lines(payload)]
    if link := _link(payload):
        blocks.append(_section(f"<{link}|Open it in Perdure>"))
    return {"text": title, "blocks": blocks}


def headline(payload: Payload) -> str:
    """One line: the title and what happened."""
    title = " ".join(str(payload["data"].get("title", "")).split())[:150]
    return f"{title} {OUTCOMES.get(payload['type'], payload['type'])}"


def _lines(payload: Payload) -> list[str]:
    data = payload["data"]
    request = data.get("input_request") or {}
    asked = f"{request['title']} ({request['kind']})" if request else None
    due = f"Answer by {request['due_at']}." if request.get("due_at") else None
    failure = data.get("error_message") or data.get("error_code")
    return [str(line) for line in (asked, due, data.get("summary"), failure) if line]


def _link(payload: Payload) -> str | None:
    """The link to show, if it is absolute."""
    data = payload["data"]
    links = (data.get("input_request") or data).get("links", {})
    link: str | None = links.get("self") or links.get("execution")
    return link if link and link.startswith("http") else None


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:3000]}}


def _slack(text: str) -> str:
    """Escape Slack's three special characters ("Formatting text for app surfaces")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
