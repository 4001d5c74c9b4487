"""A report as one tree of nodes: what came of the execution first, the details after it.

Every statement names its message, with a link if the report contains it.
"""

from collections.abc import Iterator

from reports.anchors import Anchors
from reports.model import ChangedItem, Comparison, ReportContent
from reports.nodes import (
    Document,
    Fact,
    Node,
    ReportSection,
    code,
    muted,
    paragraph,
    split_lines,
    table,
    text,
    wrap,
)
from reports.phrases import (
    SCRIPTED,
    code_to_words,
    format_duration,
    format_json,
    format_money,
    format_number,
    format_time,
)
from reports.tables import build_tables
from reports.text import note_left_out
from reports.transcript import build_transcript, excerpt_node


def build_document(report: ReportContent) -> Document:
    """The report as a tree, for every writer."""
    anchors = Anchors.for_report(report)
    sections = [
        *_scripted_model(report),
        *_ending(report),
        *_result(report, anchors),
        *_difference(report, anchors),
        *build_tables(report, anchors),
    ]
    if report.transcript:
        sections.append(build_transcript(report))
    sections.append(_details(report))
    status = report.outcome.status
    return Document(
        title=report.title,
        status=status,
        tone={"completed": "good", "failed": "bad"}.get(status, "still"),
        generated_at=report.generated_at,
        facts=list(_facts(report)),
        sections=sections,
    )


def _facts(report: ReportContent) -> Iterator[Fact]:
    cost = report.cost
    waited_ms = sum(request.waited_ms for request in report.input_requests)
    waited = f"{format_duration(waited_ms)} waiting for people" if waited_ms else ""
    yield Fact("Duration", format_duration(report.duration_ms), waited)
    budget = "" if cost.budget_usd is None else f"of {format_money(cost.budget_usd)}"
    if report.subject.is_scripted:
        budget = f"{budget}, nothing was paid".removeprefix(", ")
    if report.counts.subtasks:
        budget = f"{budget}, without subtasks".removeprefix(", ")
    yield Fact("Cost", format_money(cost.total_usd), budget)
    yield Fact("Turns", format_number(report.turns))
    yield Fact("Tool calls", format_number(report.counts.tool_calls))
    output = f"{format_number(report.tokens.output)} output"
    yield Fact("Tokens", format_number(report.tokens.total), output)
    if report.counts.subtasks:
        spent = f"{format_money(cost.subtasks_usd)} more"
        yield Fact("Subtasks", format_number(report.counts.subtasks), spent)


def _scripted_model(report: ReportContent) -> Iterator[ReportSection]:
    if report.subject.is_scripted:
        yield ReportSection("scripted", "Scripted model", [paragraph(SCRIPTED)])


def _ending(report: ReportContent) -> Iterator[ReportSection]:
    outcome = report.outcome
    if outcome.status == "completed":
        return
    if outcome.status == "failed":
        heading = f"It failed: {code_to_words(outcome.error_code or 'unknown error')}"
        message = outcome.message or "No error message was recorded."
    else:
        heading = "It was cancelled"
        message = outcome.message or "No reason was given."
    yield ReportSection("ending", heading, list(split_lines(message)))


def _result(report: ReportContent, anchors: Anchors) -> Iterator[ReportSection]:
    outcome = report.outcome
    if outcome.text is None:
        return
    body = [excerpt_node("prose", outcome.text)]
    if outcome.output is not None:
        body = [Node("pre", text=format_json(outcome.output))]
    if outcome.is_output_left_out:
        body.append(
            muted(
                "The structured result is too long for a report. "
                "Read it from result_data of the execution."
            )
        )
    heading = "Result" if outcome.status == "completed" else "The last answer before that"
    note = anchors.note_message(outcome.message_seq, "in ")
    yield ReportSection("result", heading, body, note, "Result")


def _difference(report: ReportContent, anchors: Anchors) -> Iterator[ReportSection]:
    since = report.difference
    if since is None:
        return
    previous = text(
        f"previous execution {since.execution_id}"
        if since.report_id is None
        else f"previous report {since.report_id}"
    )
    at = f"{format_time(since.completed_at)}, " if since.completed_at else ""
    body: list[Node] = []
    if since.of == "nothing":
        unlike = "The results can't be compared: one is empty or they have different types."
        body.append(muted(unlike))
    elif since.is_empty:
        body.append(paragraph("Nothing changed."))
    elif since.result.is_empty:
        body.append(muted("The result is the same."))
    else:
        body += _comparison(since.result)
    if not since.files.is_empty:
        body += [muted("Files"), *_comparison(since.files)]
    note = [text(at), previous, *anchors.note_message(report.outcome.message_seq, ", ")]
    yield ReportSection("difference", "Since the last scheduled run", body, note, "What changed")


def _comparison(comparison: Comparison) -> Iterator[Node]:
    changes = (
        ("new", "good", comparison.new),
        ("changed", "muted", comparison.changed),
        ("removed", "bad", comparison.gone),
    )
    items = [_change(label, tone, item) for label, tone, found in changes for item in found]
    if items:
        yield Node("ul", items)
    if comparison.left_out:
        yield note_left_out(comparison.left_out, "difference")


def _change(label: str, tone: str, item: ChangedItem) -> Node:
    parts = [wrap(tone, label), text(" ")]
    if item.name:
        parts += [wrap("strong", item.name), text(" ")]
    if item.path:
        parts += [code(item.path), text(" ")]
    if item.before is not None:
        parts += [wrap("removed", item.before), text(" → " if item.after is not None else "")]
    if item.after is not None:
        parts.append(wrap("added", item.after))
    return wrap("item", paragraph(*parts))


def _details(report: ReportContent) -> ReportSection:
    subject = report.subject
    execution_id = subject.execution_id
    rows: list[tuple[str, Node]] = [("Execution", text(str(execution_id)))]
    if subject.task_id:
        version = f", version {subject.task_version}" if subject.task_version else ""
        rows.append(("Task", text(f"{subject.task_id}{version}")))
    if subject.session_id:
        rows.append(("Session", text(subject.session_id)))
    if parent := subject.parent_execution_id:
        rows.append(("Parent execution", text(str(parent))))
    if subject.agent_id:
        rows.append(("Agent", text(subject.agent_id)))
    started = format_time(subject.started_at) if subject.started_at else "Not started"
    rows += [
        ("Trigger", text(code_to_words(subject.trigger_type))),
        ("Created", text(format_time(subject.created_at))),
        ("Started", text(started)),
        ("Report created", text(format_time(report.generated_at))),
    ]
    body = [table("Details", ("Field", "Value"), rows, align="ll", wide=1, has_row_heads=True)]
    return ReportSection("details", "Details", body)
