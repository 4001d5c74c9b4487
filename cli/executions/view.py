"""Prints one execution for people: why it failed, what it did, what it cost, what to do next."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from cli.connection.client import Client, Json
from cli.executions.live_updates import summarize
from cli.executions.timeline import WAITING
from cli.executions.tool_calls import print_call_end, print_call_start
from cli.inbox.answering import list_open_requests
from cli.program import program
from cli.terminal import show

ADVICE: Mapping[str, str] = {
    "model_not_configured": "Set ANTHROPIC_API_KEY where the worker runs, and retry.",
    "budget_exhausted": "Retry with --max-budget-usd, or raise sdk_options.max_budget_usd.",
    "max_turns": "Raise sdk_options.max_turns of the task, or split the work.",
    "timeout": "Raise sdk_options.timeout_seconds of the task.",
    "input_expired": "A person has to answer in time; human_input_policy.due_seconds is the time.",
    "context_exceeded": "Let it read less at once, or split the work into subtasks.",
    "prerequisite_failed": "Retry the prerequisite, then this execution.",
    "invalid_definition": "Correct the task, and execute it again.",
}
"""What to do, by error code."""


def print_execution(client: Client, execution: Json) -> None:
    """Print an execution with its tool calls, model and subtasks, which it reads."""
    execution_id = execution["id"]
    calls = client.call("list_tool_calls", execution_id=execution_id, page_size=100)["items"]
    style = show.STATUS_STYLES.get(execution["status"], "default")
    show.out.print_line((execution["title"], "bold"))
    show.out.print_line((summarize(execution), style))
    _print_failure(execution, calls)
    _print_requests(client, execution)
    for name, value in _describe(client, execution, calls):
        show.out.print_line((f"{name:11}", "dim"), value)
    text = (execution.get("result_data") or {}).get("text")
    if text:
        show.out.print()
        show.out.print_text(text)
    _print_next(execution)


def _print_failure(execution: Json, calls: Sequence[Json]) -> None:
    """Why it did not complete, with the last tool call that failed."""
    if execution["cancel_reason"]:
        show.out.print_line(("reason     ", "dim"), execution["cancel_reason"])
    if not execution["error_message"]:
        return
    code = execution["error_code"]
    show.out.print_line((f"{code}: {execution['error_message']}", "red"))
    if advice := ADVICE.get(code):
        show.out.print(advice)
    failed = [call for call in calls if call["is_error"] and call["completed_at"]]
    if failed:
        show.out.print_line(("the last tool call that failed:", "dim"))
        print_call_start(failed[-1], full=False)
        print_call_end(failed[-1], full=False)


def _print_requests(client: Client, execution: Json) -> None:
    if execution["status"] != WAITING:
        return
    for request in list_open_requests(client, execution["id"]):
        show.out.print_line(("waits for  ", "dim"), (request["title"], "magenta"))
        show.out.print_line(("           ", ""), f"{program()} inbox answer {request['id']}")


def _describe(client: Client, execution: Json, calls: Sequence[Json]) -> Iterator[tuple[str, str]]:
    """What to know about it, by headings."""
    yield "id", execution["id"]
    if execution["task_id"]:
        yield "task", f"{execution['task_id']} version {execution['task_version']}"
    if execution["agent_id"]:
        yield "agent", execution["agent_id"]
    yield "started by", _describe_start(execution)
    if execution["status"] == "pending":
        yield "waits for", _describe_worker(execution)
    if execution["prompt_variables"]:
        variables = execution["prompt_variables"].items()
        yield "variables", ", ".join(f"{name}={value}" for name, value in variables)
    yield "model", _describe_models(client, execution)
    if calls:
        yield "tools", _describe_calls(execution, calls)
    yield "cost", _describe_cost(execution)
    tree = client.call("get_execution_tree", execution_id=execution["id"])["totals"]
    if tree["executions"] > 1:
        counts = ", ".join(f"{count} {status}" for status, count in tree["by_status"].items())
        cost = show.format_money(tree["cost_usd"])
        yield "subtasks", f"{tree['executions'] - 1}; with this one: {counts}; {cost} together"
    for warning in execution["warnings"]:
        yield "warning", warning
    if execution["report_error"]:
        yield "report", f"failed: {execution['report_error']}"


def _describe_start(execution: Json) -> str:
    at = show.format_moment(execution["created_at"])
    origin = execution["retry_of_id"] or execution["forked_from_id"]
    of = f" of {origin}" if origin else ""
    return f"{execution['trigger_type']}{of}, {at}"


def _describe_worker(execution: Json) -> str:
    """What a pending execution waits for."""
    if execution["executor"] == "external":
        return f"a worker that claims it ({program()} queue claim)"
    return "a worker with a free slot, or Temporal"


def _describe_models(client: Client, execution: Json) -> str:
    calls = client.call("list_model_calls", execution_id=execution["id"], page_size=100)["items"]
    names = ", ".join(dict.fromkeys(call["model"] for call in calls)) or "not called yet"
    if execution["is_scripted"]:
        return f"the scripted model in place of {names}; nothing was paid"
    return names


def _describe_calls(execution: Json, calls: Sequence[Json]) -> str:
    counts = Counter(call["name"] for call in calls)
    listed = [f"{name} {number}x" for name, number in counts.most_common()]
    wrong = Counter(
        "denied" if call["status"] == "denied" else "failed" for call in _select_failed(calls)
    )
    more = [f"{number} {what}" for what, number in wrong.items()]
    rest = execution["total_tool_calls"] - len(calls)
    return ", ".join([*listed, *more, *([f"and {rest} more"] if rest > 0 else [])])


def _select_failed(calls: Sequence[Json]) -> list[Json]:
    return [call for call in calls if call["is_error"] or call["status"] == "denied"]


def _describe_cost(execution: Json) -> str:
    budget = execution["budget_usd"]
    of = "" if budget is None else f" of {show.format_money(budget)}"
    cached = execution["cache_read_tokens"]
    read = execution["input_tokens"] + execution["cache_write_tokens"] + cached
    cache = f" ({cached:,} from the cache)" if cached else ""
    tokens = f"{read:,} tokens in{cache}, {execution['output_tokens']:,} out"
    return f"{show.format_money(execution['cost_usd'])}{of}, {tokens}"


def _print_next(execution: Json) -> None:
    """Print what to do next."""
    execution_id = execution["id"]
    if execution["status"] == "completed":
        commands = [f"report {execution_id}", f"say {execution_id} TEXT"]
    elif execution["completed_at"]:
        commands = [f"executions retry {execution_id}", f"executions messages {execution_id}"]
    else:
        commands = [f"watch {execution_id}", f"executions cancel {execution_id}"]
    show.err.print()
    for command in commands:
        show.err.print_line(("next       ", "dim"), f"{program()} {command}")
