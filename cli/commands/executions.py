"""`perdure executions`: the runs of tasks, and what each of them did."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import ExecutionId, Reference, open_client
from cli.arguments.values import (
    OTHERS,
    ArgumentError,
    Budget,
    Full,
    Variable,
    Yes,
    drop_none,
    parse_variables,
)
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
from cli.executions.follow_options import Following, with_detaching
from cli.executions.following import follow_started
from cli.executions.selection import Selection, with_selection
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client


def _describe_execution(client: "Client", execution: Json) -> None:
    from cli.executions.view import print_execution

    print_execution(client, execution)


EXECUTION = Reference({"execution_id": ExecutionId})
GROUP = CommandGroup("executions", "Runs of tasks.", EXECUTION)

GROUP.add_list(
    "list_executions",
    "List executions, newest first.",
    TableView(
        "status, title, created: created_at, turns: total_turns, cost: cost_usd, "
        "scripted: is_scripted, id, why: error_message?",
        nothing="No executions. `perdure run TASK` starts one.",
    ),
    options={
        "status": option("As `failed`, or `failed,cancelled`."),
        "task_id": option("Executions of this task: its name or id.", "--task"),
        "session_id": option("Executions in this session."),
        "agent_id": option("Executions of this agent."),
        "tag": option("Executions with this tag."),
        **OTHERS,
    },
    limit=20,
)
GROUP.add_show(
    "Show an execution: why it failed, what it did, what it cost, and what to do next.",
    "get_execution",
    describe=_describe_execution,
)


@GROUP.app.command()
@with_output
@with_selection
def cancel(
    context: typer.Context,
    chosen: Selection,
    reason: Annotated[str | None, typer.Option(help="Kept with the executions.")] = None,
    *,
    yes: Yes = False,
    output: str,
) -> None:
    """Cancel executions and their subtasks: those with these ids, or all that match.

    With --all, and without --status, all that have not ended are selected.
    """
    from cli.executions import bulk

    with open_client(context) as client:
        outcome = bulk.cancel(client, chosen, reason=reason, is_confirmed=yes)
    bulk.finish(outcome, "cancelled", output)


@GROUP.app.command()
@with_detaching
@with_selection
def retry(
    context: typer.Context,
    chosen: Selection,
    how: Following,
    variable: Variable = None,
    max_budget_usd: Budget = None,
    *,
    yes: Yes = False,
) -> None:
    """Run executions that have ended again from their beginning.

    With one id, waits for its end; variables that are given replace all of the original ones. Exit
    codes are those of `run`. With several ids, or --all, --task, --tag, --status, --from or --to,
    prints the ids of the new executions; without --status, those that failed and have not been
    retried are selected.
    """
    with open_client(context) as client:
        if chosen.only is None:
            from cli.executions import bulk

            if variable or max_budget_usd is not None:
                raise ArgumentError("--variable and --max-budget-usd need one execution's id.")
            bulk.finish(bulk.retry(client, chosen, is_confirmed=yes), "retried", how.output)
            return
        variables = parse_variables(variable) if variable else None
        body = drop_none(variables=variables, max_budget_usd=max_budget_usd)
        execution = client.start("retry_execution", body, execution_id=chosen.only)
        follow_started(client, execution, how)


def print_tree(tree: Json) -> None:
    """Print each execution below its parent, then the totals."""
    for node in tree["items"]:
        indent = "  " * node["depth"]
        agent = f"{node['agent_id']}  " if node["agent_id"] else ""
        show.out.print_line(
            f"{indent}{node['title'][: show.LONGEST_CELL]}  ",
            (node["status"], show.STATUS_STYLES.get(node["status"], "")),
            f"  {agent}{show.format_money(node['cost_usd'])}  ",
            (node["id"], "dim"),
        )
    totals = tree["totals"]
    counts = ", ".join(f"{count} {status}" for status, count in totals["by_status"].items())
    more = "; there are more than are listed" if tree["is_truncated"] else ""
    cost = show.format_money(totals["cost_usd"])
    show.out.print(f"{totals['executions']} executions: {counts}; {cost}{more}")


GROUP.add_show(
    "Show an execution and its subtasks at all levels, with status and cost.",
    "get_execution_tree",
    name="tree",
    view=print_tree,
)


GROUP.add_list(
    "list_files",
    "List the files in the workspace.",
    TableView("type, bytes: size_bytes, modified: modified_at, path", nothing="No files."),
    name="files",
    of=EXECUTION,
    options={"path": argument("[PATH]", "A directory of the workspace.", default=".")},
    pages="all",
)


@GROUP.app.command()
def download(
    context: typer.Context,
    execution_id: ExecutionId,
    path: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATH]", help="A file of the workspace. (default: all, as a tar.gz)"
        ),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", "-o", help="Where to write it.")] = None,
) -> None:
    """Download a file of the workspace, or all of them as an archive."""
    with open_client(context) as client:
        if path is None:
            target = to or Path(f"execution-{execution_id}.tar.gz")
            client.download("get_archive", target, execution_id=execution_id)
        else:
            target = to or Path(Path(path).name)
            client.download("get_file", target, execution_id=execution_id, path=path)
    show.out.print(str(target))


def print_transcript(
    messages: list[Json], *, calls: Sequence[Json] = (), full: bool = False
) -> None:
    """Print the messages in their order, with the tool calls and their results.

    `calls` are the tool calls whose connections are printed.
    """
    from cli.executions.tool_calls import print_content

    by_id = {call["tool_use_id"]: call for call in calls}
    for message in sorted(messages, key=lambda item: int(item["seq"])):
        show.out.print_line((f"{message['seq']} {message['role']}", "dim"))
        print_content(message["content"], calls=by_id, full=full)


def _print_calls(calls: list[Json], *, full: bool = False) -> None:
    from cli.executions.tool_calls import print_tool_calls

    print_tool_calls(calls, full=full)


def _describe_cost(call: Json) -> str:
    cost = "" if call["cost_usd"] is None else show.format_money(call["cost_usd"])
    return f"{cost} estimated" if cost and call["usage_estimated"] else cost


RECORDS: dict[str, Any] = {"of": EXECUTION, "pages": "counted"}


@GROUP.app.command("messages")
@with_output
def show_messages(
    context: typer.Context, execution_id: ExecutionId, *, full: Full = False, output: str
) -> None:
    """Show the transcript, with what the tool calls connected to."""
    with open_client(context) as client:
        messages = list(client.iterate("list_messages", execution_id=execution_id))
        calls = list(client.iterate("list_tool_calls", execution_id=execution_id))
    show.print_answer(
        {"items": messages, "total": len(messages)},
        output,
        lambda answer: print_transcript(answer["items"], calls=calls, full=full),
    )


GROUP.add_list(
    "list_tool_calls",
    "List the tool calls: what ran, how it ended, and the first lines of the output.",
    _print_calls,
    name="tool-calls",
    **RECORDS,
)
GROUP.add_list(
    "list_model_calls",
    "List each attempt of each model call: time, cost, and why it stopped.",
    TableView(
        "turn, try: try_number, status, model, began: started_at, first token ms: first_token_ms, "
        "cost, stopped by: error_message|stop_reason",
        nothing="The model was not called yet.",
        computed={"cost": _describe_cost},
    ),
    name="model-calls",
    **RECORDS,
)
GROUP.add_list(
    "list_memory_uses",
    "List the memory entries that the execution read or wrote, each with its version.",
    TableView("action, namespace, key, version, at: created_at", nothing="It used no memory."),
    name="memory",
    **RECORDS,
)
GROUP.add_list(
    "list_artifacts",
    "List the files that the execution kept.",
    TableView(
        "name, kind, type: media_type, bytes: size_bytes, kept: created_at, id",
        nothing="It kept no files.",
    ),
    name="artifacts",
    **RECORDS,
)
GROUP.add_action(
    "finish",
    "finish_execution",
    "Ask a running execution to answer now with what it has.",
    "It answers now.",
    options={"message": option("What the model should know.")},
)
GROUP.add_action(
    "pause",
    "pause_execution",
    "Pause an execution after its current step.",
    "It pauses after its current step.",
)
GROUP.add_action(
    "resume",
    "resume_execution",
    "Resume a paused execution where it was.",
    "It resumes where it was.",
)


def _make_fork(given: Json, _: Json) -> Json:
    if "variables" in given:
        given["variables"] = parse_variables(given["variables"])
    return given


GROUP.add_action(
    "fork",
    "fork_execution",
    "Start a new execution that continues from a turn of another one.",
    "Forked: {id}",
    options={
        "at_turn": option("The last turn to share; 0 shares none.", kind=int, default=..., min=0),
        "prompt": option("The next user message."),
        "variables": option(
            "name=text, or name:=json, with --at-turn 0. May be repeated.",
            "--variable",
            "-v",
            kind=list[str] | None,
        ),
        "model": option("Another model."),
    },
    make_body=_make_fork,
    has_json=True,
    is_start=True,
)
