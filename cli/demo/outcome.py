"""What `perdure demo` shows at its end: the result, that nothing ran twice, and where to look."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cli.connection.client import Client, Json, RefusedError
from cli.executions.live_updates import summarize
from cli.program import program
from cli.terminal import show

RUNS = "runs.txt"
"""The file to which the interrupted command adds a line each time it runs."""


def print_outcome(
    client: Client, execution: Json, facts: Mapping[str, Any], *, was_crashed: bool
) -> bool:
    """Print the outcome; whether nothing was called twice. The report outlives the stack."""
    execution_id = execution["id"]
    show.out.rule("what happened")
    text = (execution.get("result_data") or {}).get("text")
    if text:
        show.out.print_text(text)
    if execution.get("error_message"):
        show.out.print(f"{execution['error_code']}: {execution['error_message']}")
    children = client.call("list_children", execution_id=execution_id)["items"]
    show.out.print(f"\n{summarize(execution)} · {len(children)} subtask")
    is_proven = not was_crashed or _print_proof(client, execution_id)
    _print_places(client, execution, facts)
    return is_proven


def _print_proof(client: Client, execution_id: str) -> bool:
    """Print how often each model call and each command ran, in spite of two crashes."""
    tries = list(client.iterate("list_model_calls", execution_id=execution_id))
    calls = list(client.iterate("list_tool_calls", execution_id=execution_id))
    answers = Counter(one["turn"] for one in tries if one["status"] == "succeeded")
    lost = [one for one in tries if one["status"] == "lost"]
    most = max(answers.values(), default=0)
    lines = _count_runs(client, execution_id)
    is_proven = most == 1 and lines == 1 and _is_each_once(calls)
    outcome = "nothing was called twice" if is_proven else "something was called twice"
    show.out.rule(f"the worker was killed twice, and {outcome}")
    show.out.print(f"model calls   {len(answers)} answered, none more often than {most} time")
    if lost:
        estimated = show.format_money(sum(one["cost_usd"] or 0.0 for one in lost))
        show.out.print(
            f"              {len(lost)} had no answer when the worker died, and was sent again; "
            f"its estimated cost, {estimated}, counts"
        )
    show.out.print(f"tool calls    {len(calls)} recorded")
    show.out.print(
        f"the command   that was interrupted began {lines} time; {RUNS} has a line for each"
    )
    return is_proven


def _is_each_once(calls: Sequence[Json]) -> bool:
    return len({call["tool_use_id"] for call in calls}) == len(calls)


def _count_runs(client: Client, execution_id: str) -> int | None:
    """How often the interrupted command has begun."""
    try:
        content = client.read_content("get_file", execution_id=execution_id, path=RUNS)
    except RefusedError:
        return None
    return len(content.splitlines())


def _print_places(client: Client, execution: Json, facts: Mapping[str, Any]) -> None:
    """Print where to look, and what to do next."""
    execution_id = execution["id"]
    show.out.rule("where to look")
    if execution.get("report_id"):
        report = Path(tempfile.gettempdir()) / f"perdure-demo-{execution_id}.html"
        content = client.read_content(
            "get_execution_report", execution_id=execution_id, format="html"
        )
        report.write_bytes(content)
        show.out.print(f"report        {report}")
    show.out.print(f"execution     {execution_id}")
    if facts.get("ui_url"):
        show.out.print(f"inbox         {facts['ui_url']} (sign in: `{program()} inbox open`)")
    if facts.get("temporal_ui_url"):
        workflow = f"{facts['temporal_ui_url']}/namespaces/default/workflows"
        show.out.print(f"in Temporal   {workflow}/{execution['workflow_id']}")
        show.out.print(f"as a command  {program()} executions get {execution_id}")
    else:
        show.out.print(
            f"next          `{program()} demo --keep` leaves its stack running, `{program()} up` "
            "starts one that stays; docs/tutorial.md continues there"
        )
