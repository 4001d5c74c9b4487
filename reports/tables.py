"""The sections of a report that are tables or lists: requests, calls, subtasks, files, cost."""

from collections.abc import Iterator, Sequence

from domain.report_facts import InputRequest, ModelCall, TokenCounts
from reports import phrases
from reports.anchors import Anchors
from reports.charts import Chart, draw_charts
from reports.model import ReportContent
from reports.nodes import Node, ReportSection, code, link, paragraph, split_lines, table, text, wrap

NAME_CHARS = 40
"""Of a tool's name, which another server may have chosen (chosen)."""

INPUT_CHARS = 120
"""Of a tool call's input: two lines of a column (chosen)."""

_TONES = {
    **dict.fromkeys(("completed", "answered", "approved"), "good"),
    **dict.fromkeys(("failed", "lost", "denied", "expired"), "bad"),
    "succeeded": "quiet",
}

_TOKEN_COLUMNS = ("Input", "Cache read", "Cache write", "Output")


def build_tables(report: ReportContent, anchors: Anchors) -> Iterator[ReportSection]:
    """The sections that have entries."""
    charts = draw_charts(report)
    if chart := charts.pop("timeline", None):
        note = f"{phrases.count_of(report.turns, 'turn')} in "
        note += phrases.format_duration(report.duration_ms)
        note += "; hatched waits are not to scale" if chart.values["gaps"] else ""
        yield ReportSection(
            mark="timeline",
            heading="Timeline",
            label="Timeline",
            note=[text(note)],
            body=[Node("figure", chart=chart)],
        )
    if report.input_requests:
        yield _requests(report, anchors)
    if report.tool_calls:
        yield _tool_calls(report, anchors)
    if report.subtasks:
        yield _subtasks(report, anchors)
    if report.artifacts:
        yield _files(report, anchors)
    yield _cost(report, anchors, list(charts.values()))


def note_count(omitted: int, total: int) -> str:
    """How many entries of a list are shown."""
    if not omitted:
        return phrases.format_number(total)
    shown = phrases.format_number(total - omitted)
    return f"{shown} of {phrases.format_number(total)}: the first and the last"


def status(code: str) -> Node:
    """A status with its colour."""
    node = wrap("status", phrases.code_to_words(code))
    node.mark = _TONES.get(code, "still")
    return node


def _requests(report: ReportContent, anchors: Anchors) -> ReportSection:
    return ReportSection(
        mark="people",
        heading="What people were asked",
        label="People",
        note=[text(note_count(report.omitted.input_requests, report.counts.input_requests))],
        body=[Node("ul", [_request(request, anchors) for request in report.input_requests])],
    )


def _request(request: InputRequest, anchors: Anchors) -> Node:
    body = [paragraph(wrap("strong", request.title.text))]
    if request.answer:
        body.append(Node("quote", list(split_lines(request.answer.text))))
    by = f" by {request.answered_by}" if request.answered_by else ""
    waited = phrases.format_duration(request.waited_ms)
    about = wrap(
        "muted",
        f" {phrases.code_to_words(request.kind)}{by} after {waited}",
        *anchors.note_message(request.message_seq, ", "),
    )
    body.append(paragraph(status(phrases.describe_answer(request)), about))
    return Node("item", body)


def _tool_calls(report: ReportContent, anchors: Anchors) -> ReportSection:
    rows = [
        (
            text(call.turn),
            code(phrases.shorten(call.name, NAME_CHARS)),
            code(phrases.shorten(phrases.summarize_input(call), INPUT_CHARS)),
            status(call.status),
            phrases.format_duration(call.duration_ms),
            anchors.link_message(call.message_seq),
        )
        for call in report.tool_calls
    ]
    head = ("Turn", "Tool", "Input", "Status", "Duration", "Message")
    return ReportSection(
        mark="tool-calls",
        heading="Tool calls",
        label="Tool calls",
        note=[text(note_count(report.omitted.tool_calls, report.counts.tool_calls))],
        body=[table("Tool calls", head, rows, align="rlllrr", wide=2)],
    )


def _subtasks(report: ReportContent, anchors: Anchors) -> ReportSection:
    rows = [
        (
            link(
                anchors.execution_address(subtask.execution_id),
                subtask.title.strip() or str(subtask.execution_id),
            ),
            status(subtask.status),
            phrases.format_duration(subtask.duration_ms),
            phrases.format_money(subtask.cost_usd),
            anchors.link_message(subtask.message_seq),
        )
        for subtask in report.subtasks
    ]
    head = ("Subtask", "Status", "Duration", "Cost", "Message")
    return ReportSection(
        mark="subtasks",
        heading="Subtasks",
        label="Subtasks",
        note=[text(note_count(report.omitted.subtasks, report.counts.subtasks))],
        body=[table("Subtasks", head, rows, align="llrrr")],
    )


def _files(report: ReportContent, anchors: Anchors) -> ReportSection:
    rows = [
        (
            link(anchors.artifact_address(file.id), file.name.strip() or str(file.id)),
            text(file.media_type),
            phrases.format_size(file.size_bytes),
            anchors.link_message(file.message_seq),
        )
        for file in report.artifacts
    ]
    head = ("Name", "Type", "Size", "Message")
    return ReportSection(
        mark="files",
        heading="Files",
        label="Files",
        note=[text(note_count(report.omitted.artifacts, report.counts.artifacts))],
        body=[table("Files", head, rows, align="llrr")],
    )


def _cost(report: ReportContent, anchors: Anchors, charts: Sequence[Chart]) -> ReportSection:
    cost = report.cost
    notes = []
    if cost.estimated_usd:
        notes.append(f"{phrases.format_money(cost.estimated_usd)} of it estimated")
    if cost.superseded_usd:
        notes.append(f"{phrases.format_money(cost.superseded_usd)} for steps discarded by a reset")
    body = [_cost_by_model(report)]
    if charts:
        body.append(
            Node("beside", [Node("figure", title=[text(c.title)], chart=c) for c in charts])
        )
        by_turn = [_cost_by_turn(report, anchors)]
        title = [text("By turn, as a table")]
        body.append(Node("fold", by_turn, title=title, brief=by_turn))
    if report.model_calls:
        count = note_count(report.omitted.model_calls, report.counts.model_calls)
        title = [text(f"Every model call: {count}")]
        body.append(Node("fold", [_model_calls(report, anchors)], title=title))
    return ReportSection(
        mark="cost",
        heading="Tokens and cost",
        label="Tokens and cost",
        note=[text("; ".join(notes))] if notes else [],
        body=body,
    )


def _cost_by_model(report: ReportContent) -> Node:
    by_model = report.cost.by_model
    rows = [
        (
            model.model,
            phrases.format_number(model.calls),
            *_token_cells(model.tokens),
            phrases.format_money(model.cost_usd),
        )
        for model in by_model
    ]
    total = (
        "Total",
        phrases.format_number(sum(model.calls for model in by_model)),
        *_token_cells(report.tokens),
        phrases.format_money(report.cost.total_usd),
    )
    head = ("Model", "Calls", *_TOKEN_COLUMNS, "Cost")
    return table("Cost by model", head, rows, align="lrrrrrr", foot=total, has_row_heads=True)


def _cost_by_turn(report: ReportContent, anchors: Anchors) -> Node:
    rows: list[Sequence[Node | str]] = [
        (
            phrases.describe_turns(usage.first, usage.last),
            *_token_cells(usage.tokens),
            phrases.format_money(usage.cost_usd),
            anchors.link_message(usage.message_seq),
        )
        for usage in report.spending
    ]
    head = ("Turns", *_TOKEN_COLUMNS, "Cost", "Message")
    return table("Cost by turn", head, rows, align="lrrrrrr", has_row_heads=True)


def _model_calls(report: ReportContent, anchors: Anchors) -> Node:
    rows: list[Sequence[Node | str]] = [
        (
            f"{call.turn}.{call.try_number}" if call.try_number > 1 else str(call.turn),
            _stop_reason(call),
            *_token_cells(call.tokens),
            phrases.format_duration(call.first_token_ms),
            phrases.format_duration(call.duration_ms),
            phrases.format_money(call.cost_usd) + (" est." if call.is_cost_estimated else ""),
            anchors.link_message(call.message_seq),
        )
        for call in report.model_calls
    ]
    head = ("Turn", "Stop reason", *_TOKEN_COLUMNS, "First token", "Duration", "Cost", "Message")
    return table("Every model call", head, rows, align="rlrrrrrrrr", wide=1)


def _stop_reason(call: ModelCall) -> Node:
    if call.status == "succeeded":
        return text(phrases.code_to_words(call.stop_reason or ""))
    error = f": {call.error.text}" if call.error else ""
    return wrap("bad", f"{phrases.code_to_words(call.status)}{error}")


def _token_cells(tokens: TokenCounts) -> tuple[str, ...]:
    kinds = (tokens.input, tokens.cache_read, tokens.cache_write, tokens.output)
    return tuple(map(phrases.format_number, kinds))
