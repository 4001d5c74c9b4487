"""The report of a plan as a tree of nodes: goal, graph, and the result and cost of each step."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from domain.plans.facts import PlanFacts, PlanStepFacts
from reports.charts import Chart
from reports.model import to_json_value
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
    count_of,
    format_duration,
    format_money,
    format_time,
    shorten,
)
from reports.plan_graph import GraphStep, draw_batches, draw_graph
from reports.tables import status
from reports.transcript import excerpt_node

SMALLEST_SCALE = 0.5
"""In print, a graph that had to be smaller than this is shown as marks by batch (chosen)."""

NOTE_CHARS = 120
"""Of the longest path beside a heading: one line (chosen)."""


def plan_to_json(plan: PlanFacts) -> dict[str, Any]:
    """The facts as JSON: amounts are numbers."""
    made: dict[str, Any] = json.loads(json.dumps(asdict(plan), default=to_json_value))
    return made


def build_plan_document(plan: PlanFacts) -> Document:
    """The report as a tree, for every writer."""
    return Document(
        title=plan.title,
        status=code_to_words(plan.status),
        tone={"completed": "good", "failed": "bad"}.get(plan.status, "still"),
        generated_at=plan.read_at,
        facts=list(_facts(plan)),
        sections=[
            *_scripted_model(plan),
            *_ending(plan),
            *_goal(plan),
            _graph(plan),
            *_failures(plan),
            *_results(plan),
            _steps(plan),
            _details(plan),
        ],
        kind="Plan",
    )


def graph_of(plan: PlanFacts) -> Chart:
    """The picture of the plan's graph."""
    return draw_graph(_graph_steps(plan))


def _graph_steps(plan: PlanFacts) -> Sequence[GraphStep]:
    return [GraphStep(s.key, s.title, s.state, s.depends_on) for s in plan.steps]


def _facts(plan: PlanFacts) -> Iterator[Fact]:
    counts = Counter(step.state for step in plan.steps)
    failed = f"{counts['failed']} failed" if counts["failed"] else ""
    yield Fact("Completed", f"{counts['completed']} of {len(plan.steps)} steps", failed)
    batches = max((step.batch + 1 for step in plan.steps), default=0)
    yield Fact(
        "Batches", str(batches), f"longest path: {count_of(len(plan.critical_path), 'step')}"
    )
    if plan.started_at is not None:
        end = plan.completed_at or plan.read_at
        took = format_duration((end - plan.started_at).total_seconds() * 1000)
        is_retried = any(s.started_at and s.started_at < plan.started_at for s in plan.steps)
        notes = ["so far"] * (plan.completed_at is None) + ["of the newest run"] * is_retried
        yield Fact("Duration", took, ", ".join(notes))
    budget = "" if plan.budget_usd is None else f"of {format_money(plan.budget_usd)}"
    if plan.is_scripted:
        budget = f"{budget}, nothing was paid".removeprefix(", ")
    yield Fact("Cost", format_money(plan.cost_usd), budget)


def _scripted_model(plan: PlanFacts) -> Iterator[ReportSection]:
    if plan.is_scripted:
        yield ReportSection("scripted", "Scripted model", [paragraph(SCRIPTED)])


def _ending(plan: PlanFacts) -> Iterator[ReportSection]:
    if plan.status == "failed":
        heading = f"It failed: {code_to_words(plan.error_code or 'unknown error')}"
        message = plan.message or "No error message was recorded."
        yield ReportSection("ending", heading, list(split_lines(message)))
    elif plan.status == "cancelled":
        message = plan.message or "No reason was given."
        yield ReportSection("ending", "It was cancelled", list(split_lines(message)))


def _goal(plan: PlanFacts) -> Iterator[ReportSection]:
    if plan.goal is not None:
        yield ReportSection("goal", "Goal", [excerpt_node("plain", plan.goal)])


def _graph(plan: PlanFacts) -> ReportSection:
    chart = graph_of(plan)
    printed = chart
    if chart.scale_in_print < SMALLEST_SCALE:
        printed = draw_batches(_graph_steps(plan))
    figure = Node("figure", [_list_batches(plan)], chart=printed)
    path = " → ".join(plan.critical_path)
    note = [text(shorten(f"Longest path: {path}", NOTE_CHARS))] if path else []
    return ReportSection("graph", "Steps", [Node("graph", chart=chart, brief=[figure])], note)


def _list_batches(plan: PlanFacts) -> Node:
    """The steps by batch, for formats without drawings."""
    batches: dict[int, list[PlanStepFacts]] = defaultdict(list)
    for step in plan.steps:
        batches[step.batch].append(step)
    items = []
    for number in sorted(batches):
        lines = [wrap("item", paragraph(*_describe_step(step))) for step in batches[number]]
        title = paragraph(wrap("strong", f"Batch {number + 1}"))
        items.append(wrap("item", title, Node("ul", lines)))
    return Node("ol", items, level=1)


def _describe_step(step: PlanStepFacts) -> Iterator[Node]:
    yield from (code(step.key), text(f" {step.title}: "), status(step.state))
    if step.depends_on:
        yield text(f", after {', '.join(step.depends_on)}")


def _failures(plan: PlanFacts) -> Iterator[ReportSection]:
    failed = [step for step in plan.steps if step.state == "failed"]
    if not failed:
        return
    rows = [
        (
            code(step.key),
            text(code_to_words(step.error_code or "")),
            text(step.error_message or ""),
        )
        for step in failed
    ]
    body = [table("Failures", ("Step", "Error", "Message"), rows, align="lll", wide=2)]
    yield ReportSection("failures", "Failures", body, [text(str(len(failed)))])


def _results(plan: PlanFacts) -> Iterator[ReportSection]:
    found = [step for step in plan.steps if step.result is not None]
    if not found:
        return
    body: list[Node] = []
    for step in found:
        if step.result is None:
            continue
        result = excerpt_node("prose", step.result)
        body.append(
            Node("fold", [result], title=[text(step.title)], brief=[_heading(step), result])
        )
    completed = sum(step.state == "completed" for step in plan.steps)
    note = f"{len(found)} of {count_of(completed, 'completed step')}"
    yield ReportSection("results", "Results", body, [text(note)])


def _heading(step: PlanStepFacts) -> Node:
    return Node("h", [text(step.title)], level=3)


def _steps(plan: PlanFacts) -> ReportSection:
    rows = [
        (
            str(step.batch + 1),
            code(step.key),
            text(step.title),
            status(step.state),
            text(step.agent_id or step.executor),
            format_duration(step.duration_ms),
            format_money(step.cost_usd),
        )
        for step in plan.steps
    ]
    foot = ("", "", "", "", "Total", "", format_money(plan.cost_usd))
    head = ("Batch", "Key", "Step", "Status", "Worker", "Duration", "Cost")
    body = [table("Steps", head, rows, align="rllllrr", wide=2, foot=foot)]
    retried = plan.cost_usd - sum((s.cost_usd for s in plan.steps), plan.cost_usd * 0)
    if retried > 0:
        body.append(
            muted(
                f"{format_money(retried)} of it for subtasks, and for executions that were retried."
            )
        )
    return ReportSection("steps", "Time and cost", body)


def _details(plan: PlanFacts) -> ReportSection:
    rows: list[tuple[str, Node]] = [("Plan", text(str(plan.plan_id)))]
    if plan.execution_id is not None:
        rows.append(("Execution", text(str(plan.execution_id))))
    rows += [
        ("Created", text(format_time(plan.created_at))),
        ("Started", text(format_time(plan.started_at) if plan.started_at else "Not started")),
        ("Report created", text(format_time(plan.read_at))),
    ]
    body = [table("Details", ("Field", "Value"), rows, align="ll", wide=1, has_row_heads=True)]
    return ReportSection("details", "Details", body)
