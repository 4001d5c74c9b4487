"""The sections of a printed report that list: people, tool calls, subtasks, files, cost."""

from collections.abc import Iterator, Sequence

from domain.report_facts import TokenCounts
from reports import wording
from reports.charts import Chart, charts, turns
from reports.model import ReportContent
from reports.nodes import Node, Section, code, lines, link, of, p, table, text
from reports.places import Places
from reports.telling import brief, settled
from reports.transcript import ABOUT_CHARS, NAME_CHARS, clipped, kept, status, transcript

_NUMBERS = ("Input", "Cache read", "Cache written", "Output")


def sections(report: ReportContent, places: Places) -> Iterator[Section]:
    """Those that have something to list."""
    drawn = charts(report)
    if chart := drawn.get("timeline"):
        yield Section("timeline", "Timeline", [], [_figure(chart)])
    if report.input_requests:
        yield _people(report, places)
    if report.tool_calls:
        yield _tool_calls(report, places)
    if report.subtasks:
        yield _subtasks(report, places)
    if report.artifacts:
        yield _files(report, places)
    yield _cost(report, places, [chart for name, chart in drawn.items() if name != "timeline"])
    if report.transcript:
        yield transcript(report, places)
    yield _details(report, places)


def _figure(chart: Chart) -> Node:
    caption = [text(chart.title)] if chart.name != "timeline" else []
    width = "640" if chart.name == "timeline" else "310"
    return Node("figure", caption, text=str(chart.svg(width)), href=f"{chart.title}. {chart.alt}")


def _people(report: ReportContent, places: Places) -> Section:
    items = []
    for asked in report.input_requests:
        who = f" by {asked.answered_by}" if asked.answered_by else ""
        how = f"{wording.spoken(asked.kind)}, {settled(asked)}{who}"
        told = f"{how} after {wording.duration(asked.waited_ms)}"
        body = [p(of("strong", asked.title.text))]
        if asked.answer:
            body.append(Node("quote", list(lines(asked.answer.text))))
        body.append(p(of("muted", told, *places.beside(asked.message_seq))))
        items.append(Node("item", body))
    note = kept(report.omitted.input_requests, report.counts.input_requests)
    return Section("people", "What people were asked", note, [Node("ul", items)])


def _tool_calls(report: ReportContent, places: Places) -> Section:
    rows = [
        (
            text(call.turn),
            code(clipped(call.name, NAME_CHARS)),
            code(clipped(brief(call), ABOUT_CHARS)),
            status(call.status),
            text(wording.duration(call.duration_ms)),
            places.where(call.message_seq),
        )
        for call in report.tool_calls
    ]
    head = ("Turn", "Tool", "About", "Outcome", "Took", "Message")
    made = table(head, rows, align="rlllrr", widths=("auto", "auto", "1fr", *["auto"] * 3))
    note = kept(report.omitted.tool_calls, report.counts.tool_calls)
    return Section("tool-calls", "Tool calls", note, [made])


def _subtasks(report: ReportContent, places: Places) -> Section:
    rows = [
        (
            link(places.addresses.execution(subtask.execution_id), subtask.title),
            status(subtask.status),
            text(wording.duration(subtask.duration_ms)),
            text(wording.money(subtask.cost_usd)),
            places.where(subtask.message_seq),
        )
        for subtask in report.subtasks
    ]
    head = ("Subtask", "Outcome", "Took", "Cost", "Message")
    made = table(head, rows, align="llrrr", widths=("1fr", *["auto"] * 4))
    note = kept(report.omitted.subtasks, report.counts.subtasks)
    return Section("subtasks", "Subtasks", note, [made])


def _files(report: ReportContent, places: Places) -> Section:
    rows = [
        (
            link(places.addresses.artifact(file.id), file.name),
            text(file.media_type),
            text(wording.size(file.size_bytes)),
            places.where(file.message_seq),
        )
        for file in report.artifacts
    ]
    head = ("Name", "Type", "Size", "Message")
    made = table(head, rows, align="llrr", widths=("1fr", *["auto"] * 3))
    note = kept(report.omitted.artifacts, report.counts.artifacts)
    return Section("files", "Files", note, [made])


def _cost(report: ReportContent, places: Places, drawn: Sequence[Chart]) -> Section:
    cost = report.cost
    rows: list[Sequence[Node | str]] = [
        (m.model, wording.number(m.calls), *_tokens(m.tokens), wording.money(m.cost_usd))
        for m in cost.by_model
    ]
    calls = wording.number(sum(model.calls for model in cost.by_model))
    total = ("Total", calls, *_tokens(report.tokens), wording.money(cost.total_usd))
    head = ("Model", "Calls", *_NUMBERS, "Cost")
    widths = ("1fr", *["auto"] * 6)
    rows.append([of("strong", cell) for cell in total])
    body = [table(head, rows, align="lrrrrrr", widths=widths)]
    if drawn:
        body.append(Node("beside", [_figure(chart) for chart in drawn]))
        used: list[Sequence[Node | str]] = [
            (
                turns(use),
                *_tokens(use.tokens),
                wording.money(use.cost_usd),
                places.where(use.message_seq),
            )
            for use in report.spending
        ]
        body.append(
            table(("Turns", *_NUMBERS, "Cost", "Message"), used, align="lrrrrrr", widths=widths)
        )
    notes = []
    if cost.estimated_usd:
        notes.append(f"{wording.money(cost.estimated_usd)} of it estimated")
    if cost.superseded_usd:
        notes.append(f"{wording.money(cost.superseded_usd)} for steps a reset set aside")
    return Section("cost", "Tokens and cost", [text("; ".join(notes))] if notes else [], body)


def _tokens(used: TokenCounts) -> tuple[str, ...]:
    kinds = (used.input, used.cache_read, used.cache_write, used.output)
    return tuple(wording.number(kind) for kind in kinds)


def _details(report: ReportContent, places: Places) -> Section:
    subject = report.subject
    address = places.addresses.execution
    execution = str(subject.execution_id)
    found: list[tuple[str, Node]] = [("Execution", link(address(subject.execution_id), execution))]
    if subject.task_id:
        task = f"{subject.task_id}, version {subject.task_version}"
        found.append(("Task", text(task)))
    if subject.session_id:
        found.append(("Session", text(subject.session_id)))
    if parent := subject.parent_execution_id:
        found.append(("Part of", link(address(parent), str(parent))))
    if subject.agent_id:
        found.append(("Agent", text(subject.agent_id)))
    began = wording.moment(subject.started_at) if subject.started_at else "never"
    found += [
        ("Started by", text(wording.spoken(subject.trigger_type))),
        ("Accepted", text(wording.moment(subject.created_at))),
        ("Began", text(began)),
        ("Report made", text(wording.moment(report.generated_at))),
    ]
    made = table(("What", "Which"), found, align="ll", widths=("auto", "1fr"))
    return Section("details", "Details", [], [made])
