"""The sections of a report that are tables or lists: requests, calls, subtasks, files, cost."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from domain.executions.report_facts import InputRequest, ModelCall, TokenCounts
from reports.anchors import Anchors
from reports.charts import Chart, draw_charts
from reports.model import ReportContent
from reports.nodes import (
    Node,
    ReportSection,
    Row,
    code,
    paragraph,
    split_lines,
    table,
    text,
    wrap,
)
from reports.phrases import (
    code_to_words,
    count_of,
    describe_answer,
    describe_turns,
    format_duration,
    format_money,
    format_number,
    format_size,
    shorten,
    summarize_input,
)

NAME_CHARS = 40
"""Of a tool's name, which another server may have chosen (chosen)."""

INPUT_CHARS = 120
"""Of a tool call's input: two lines of a column (chosen)."""

_TONES = {
    **dict.fromkeys(
        ("completed", "answered", "approved", "approved with changes", "confirmed"), "good"
    ),
    **dict.fromkeys(("failed", "lost", "denied", "expired"), "bad"),
    "succeeded": "quiet",
}

_LATE_START = timedelta(seconds=1)
"""A first step that begins later is mentioned: the worker was busy or loaded something (chosen)."""

_MILLISECOND = timedelta(milliseconds=1)

_TOKEN_COLUMNS = ("Input", "Cache read", "Cache write", "Output")


def build_tables(report: ReportContent, anchors: Anchors) -> Iterator[ReportSection]:
    """The timeline and the sections that have entries."""
    charts = draw_charts(report)
    if chart := charts.pop("timeline", None):
        note = f"{count_of(report.turns, 'turn')} in {format_duration(report.duration_ms)}"
        before = min(span.started_at for span in report.timeline) - report.started_at
        if before > _LATE_START:
            note += f", the first step after {format_duration(before / _MILLISECOND)}"
        note += "; hatched waits are not to scale" if chart.values["gaps"] else ""
        yield ReportSection("timeline", "Timeline", [Node("figure", chart=chart)], [text(note)])
    lists = (
        ("people", "What people were asked", "People", "input_requests", "request", _requests),
        ("tool-calls", "Tool calls", "", "tool_calls", "call", _tool_calls),
        ("subtasks", "Subtasks", "", "subtasks", "subtask", _subtasks),
        ("files", "Files", "", "artifacts", "file", _files),
    )
    for mark, heading, label, name, noun, build in lists:
        if getattr(report, name):
            note = describe_count(report, name, noun)
            yield ReportSection(mark, heading, [build(report, anchors)], [text(note)], label)
    yield _cost(report, anchors, list(charts.values()))


def describe_count(report: ReportContent, name: str, noun: str) -> str:
    """How many entries of the list `name` there are, and how many of them are shown."""
    omitted, total = getattr(report.omitted, name), getattr(report.counts, name)
    counted = count_of(total, noun)
    if not omitted:
        return counted
    return f"{format_number(total - omitted)} of {counted}: the first and the last"


def status(code: str) -> Node:
    """A status with its colour."""
    return Node("status", [text(code_to_words(code))], mark=_TONES.get(code, "still"))


def _requests(report: ReportContent, anchors: Anchors) -> Node:
    return Node("ul", [_request(request, anchors) for request in report.input_requests])


def _request(request: InputRequest, anchors: Anchors) -> Node:
    body = [paragraph(wrap("strong", request.title.text))]
    if request.answer:
        body.append(Node("quote", list(split_lines(request.answer.text))))
    by = f" by {request.answered_by}" if request.answered_by else ""
    waited = f"{by} after {format_duration(request.waited_ms)}"
    message = anchors.note_message(request.message_seq, ", ")
    kind = wrap("muted", f"{code_to_words(request.kind)}, ")
    answer = status(describe_answer(request))
    return Node("item", [*body, paragraph(kind, answer, wrap("muted", waited, *message))])


def _tool_calls(report: ReportContent, anchors: Anchors) -> Node:
    rows = [
        (
            text(call.turn),
            code(shorten(call.name, NAME_CHARS)),
            code(shorten(summarize_input(call), INPUT_CHARS)),
            status(call.status),
            format_duration(call.duration_ms),
            anchors.link_message(call.message_seq),
        )
        for call in report.tool_calls
    ]
    head = ("Turn", "Tool", "Input", "Status", "Duration", "Message")
    return table("Tool calls", head, rows, align="rlllrr", wide=2)


def _subtasks(report: ReportContent, anchors: Anchors) -> Node:
    rows = [
        (
            text(subtask.title),
            status(subtask.status),
            format_duration(subtask.duration_ms),
            format_money(subtask.cost_usd),
            anchors.link_message(subtask.message_seq),
        )
        for subtask in report.subtasks
    ]
    head = ("Subtask", "Status", "Duration", "Cost", "Message")
    return table("Subtasks", head, rows, align="llrrr")


def _files(report: ReportContent, anchors: Anchors) -> Node:
    rows = [
        (
            text(file.name),
            text(file.media_type),
            format_size(file.size_bytes),
            anchors.link_message(file.message_seq),
        )
        for file in report.artifacts
    ]
    return table("Files", ("Name", "Type", "Size", "Message"), rows, align="llrr")


def _cost(report: ReportContent, anchors: Anchors, charts: Sequence[Chart]) -> ReportSection:
    cost = report.cost
    notes = []
    if cost.estimated_usd:
        notes.append(f"{format_money(cost.estimated_usd)} of it estimated")
    if cost.superseded_usd:
        notes.append(f"{format_money(cost.superseded_usd)} for steps discarded by a reset")
    body = [_cost_by_model(report)]
    if charts:
        figures = [Node("figure", title=[text(chart.title)], chart=chart) for chart in charts]
        by_turn = [_cost_by_turn(report, anchors)]
        title = [text("By turn, as a table")]
        body += [Node("beside", figures), Node("fold", by_turn, title=title, brief=by_turn)]
    if report.model_calls:
        title = [text(describe_count(report, "model_calls", "model call"))]
        body.append(Node("fold", [_model_calls(report, anchors)], title=title))
    note = [text("; ".join(notes))] if notes else []
    return ReportSection("cost", "Tokens and cost", body, note)


def _cost_by_model(report: ReportContent) -> Node:
    calls = sum(model.calls for model in report.cost.by_model)
    rows = [
        (m.model, format_number(m.calls), *_token_cells(m.tokens), format_money(m.cost_usd))
        for m in report.cost.by_model
    ]
    cells = _token_cells(report.tokens)
    foot = ("Total", format_number(calls), *cells, format_money(report.cost.total_usd))
    head = ("Model", "Calls", *_TOKEN_COLUMNS, "Cost")
    return table("Cost by model", head, rows, align="lrrrrrr", foot=foot, has_row_heads=True)


def _cost_by_turn(report: ReportContent, anchors: Anchors) -> Node:
    rows: list[Row] = [
        (
            describe_turns(usage.first, usage.last),
            *_token_cells(usage.tokens),
            format_money(usage.cost_usd),
            anchors.link_message(usage.message_seq),
        )
        for usage in report.spending
    ]
    head = ("Turns", *_TOKEN_COLUMNS, "Cost", "Message")
    return table("Cost by turn", head, rows, align="lrrrrrr", has_row_heads=True)


def _model_calls(report: ReportContent, anchors: Anchors) -> Node:
    rows: list[Row] = [
        (
            f"{call.turn}.{call.try_number}" if call.try_number > 1 else str(call.turn),
            _stop_reason(call),
            *_token_cells(call.tokens),
            format_duration(call.first_token_ms),
            format_duration(call.duration_ms),
            format_money(call.cost_usd) + (" est." if call.is_cost_estimated else ""),
            anchors.link_message(call.message_seq),
        )
        for call in report.model_calls
    ]
    head = ("Turn", "Stop reason", *_TOKEN_COLUMNS, "First token", "Duration", "Cost", "Message")
    return table("Every model call", head, rows, align="rlrrrrrrrr", wide=1)


def _stop_reason(call: ModelCall) -> Node:
    if call.status == "succeeded":
        return text(code_to_words(call.stop_reason or ""))
    error = f": {call.error.text}" if call.error else ""
    return wrap("bad", f"{code_to_words(call.status)}{error}")


def _token_cells(tokens: TokenCounts) -> tuple[str, ...]:
    kinds = (tokens.input, tokens.cache_read, tokens.cache_write, tokens.output)
    return tuple(map(format_number, kinds))
