"""`perdure plans`: steps that depend on each other, and run as one."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import Reference, id_argument, open_client
from cli.arguments.values import drop_none
from cli.command_groups.resources import CommandGroup, Json, TableView, file_option, option
from cli.commands.reports import Format, Output, choose_format, write_content
from cli.executions.follow_options import Following, with_optional_watching, with_watching
from cli.executions.following import follow_started, wait_for_end
from cli.exits import CommandError
from cli.program import program
from cli.terminal import show

if TYPE_CHECKING:
    from cli.connection.client import Client


def _find_newest(client: "Client") -> Json | None:
    return next(iter(client.iterate("list_plans")), None)


PlanId = Annotated[
    str,
    id_argument(
        _find_newest,
        "list_plans",
        lister="plans list",
        missing="There is no plan yet. `perdure plans create -f FILE` makes one.",
    ),
]
PLAN = Reference({"plan_id": PlanId})
GROUP = CommandGroup("plans", "Steps that depend on each other, and run as one.", PLAN)

GROUP.add_list(
    "list_plans",
    "List plans, newest first.",
    TableView(
        "status, title, steps: progress.total, completed: progress.completed, created: created_at, "
        "id",
        nothing="No plans. `perdure plans create -f FILE` makes one.",
    ),
    options={"status": option("As `draft`, or `failed,cancelled`.")},
    limit=20,
)


def print_plan(plan: Json) -> None:
    """Print a plan: its fields, and a table of its steps in the order in which they can run."""
    hidden = ("steps", "batches", "_links", "progress", "is_scripted")
    progress = plan["progress"]
    fields = {name: value for name, value in plan.items() if name not in hidden}
    done = f"{progress['completed']} of {progress['total']} steps completed"
    if plan["is_scripted"]:
        fields["model"] = "the scripted model; nothing was paid"
    show.print_fields({**fields, "progress": done})
    steps = [{**step, "batch": step["batch"] + 1} for step in plan["steps"]]  # as in reports
    show.print_items(
        sorted(steps, key=lambda step: int(step["batch"])),
        "batch, status?, step: key, title, needs: depends_on?, cost: cost_usd, "
        "error: error_code?, execution: execution_id?",
        nothing="",
    )


GROUP.add_show("Show a plan with its steps.", "get_plan", view=print_plan)


def _read_plan(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.plans.inputs import PlanCreate

    return read_fields(given["file"], PlanCreate)


def _read_changes(given: Json, _: Json) -> Json:
    from cli.definitions.files import read_fields
    from services.plans.inputs import PlanUpdate

    return read_fields(given["file"], PlanUpdate)


_FILE = {"file": file_option("YAML or JSON.")}

GROUP.add_action(
    "create",
    "create_plan",
    "Create a plan from a file, as a draft.",
    "{id}",
    of=Reference(),
    options=_FILE,
    make_body=_read_plan,
    has_json=True,
)
GROUP.add_action(
    "update",
    "update_plan",
    "Change a plan: the fields in the file. Steps that run or are completed must stay.",
    "Changed: {title}",
    options=_FILE,
    make_body=_read_changes,
    has_json=True,
)
GROUP.add_action(
    "delete", "delete_plan", "Delete a draft, or a plan that has ended.", "Deleted: {plan_id}"
)
GROUP.add_action(
    "cancel",
    "cancel_plan",
    "Cancel a plan and its steps.",
    "It will end within moments.",
    options={"reason": option("Kept with the executions.")},
)


@GROUP.app.command()
@with_optional_watching
def start(context: typer.Context, plan_id: PlanId, how: Following) -> None:
    """Start a plan. With `--watch` the exit codes are those of `run`."""
    with open_client(context) as client:
        _follow(client, client.start("start_plan", {}, plan_id=plan_id), how)


@GROUP.app.command()
@with_output
def generate(
    context: typer.Context,
    goal: Annotated[str, typer.Argument(metavar="GOAL", help="What the plan is for.")],
    *,
    title: Annotated[str | None, typer.Option(help="Without it, Claude writes one.")] = None,
    agent: Annotated[
        list[str] | None, typer.Option(help="One that may do steps; repeatable. (default: all)")
    ] = None,
    max_steps: Annotated[int | None, typer.Option(min=1, max=100, help="(default: 20)")] = None,
    budget_usd: Annotated[float | None, typer.Option(help="What the plan may cost.")] = None,
    max_budget_usd: Annotated[
        float | None, typer.Option(help="What writing the plan may cost.")
    ] = None,
    approval: Annotated[
        bool, typer.Option("--approval/--no-approval", help="A person approves the plan first.")
    ] = True,
    start: Annotated[bool, typer.Option("--start", help="Start the plan at once.")] = False,
    output: str,
) -> None:
    """Let Claude write a plan for a goal; prints its id. The exit codes are those of `run`."""
    body = drop_none(
        goal=goal,
        title=title,
        agents=agent or None,
        max_steps=max_steps,
        budget_usd=budget_usd,
        max_budget_usd=max_budget_usd,
        approval_required=approval,
    )
    with open_client(context) as client:
        plan = _generate(client, body)
        if start:
            plan = client.start("start_plan", {}, plan_id=plan["id"])
        show.print_answer(plan, output, print_plan)
        if not start:
            show.err.print_line(("start it:  ", "dim"), f"{program()} plans start {plan['id']}")


def _generate(client: "Client", body: Json) -> Json:
    """The plan that Claude writes; exits with the code of the execution if there is none."""
    from cli.executions.live_updates import await_end, follow

    execution = client.start("generate_plan", body)
    show.err.print_line(("execution  ", "dim"), execution["id"])
    ended = await_end(client, execution["id"], lambda *_: None, on_waiting=lambda _: False)
    plan_id = (ended.get("result_data") or {}).get("plan_id")
    if plan_id is None:
        raise typer.Exit(follow(client, execution["id"], Following()))
    plan: Json = client.call("get_plan", plan_id=plan_id)
    return plan


@GROUP.app.command()
@with_optional_watching
def retry(
    context: typer.Context,
    plan_id: PlanId,
    how: Following,
    step: Annotated[
        str | None,
        typer.Argument(metavar="[STEP]", help="The key of a step. (default: all that failed)"),
    ] = None,
) -> None:
    """Run the steps again that were not completed, or one of them. Completed steps stay."""
    with open_client(context) as client:
        if step is None:
            plan = client.start("retry_plan", {}, plan_id=plan_id)
        else:
            plan = client.start("retry_plan_step", {}, plan_id=plan_id, key=step)
        _follow(client, plan, how)


@GROUP.app.command()
@with_watching
def watch(context: typer.Context, plan_id: PlanId, how: Following) -> None:
    """Print the events of the newest run of a plan and its steps, from beginning to end."""
    with open_client(context) as client:
        plan = client.call("get_plan", plan_id=plan_id)
        if plan["execution_id"] is None:
            raise CommandError(f"The plan is a draft. `perdure plans start {plan_id}` starts it.")
        wait_for_end(client, plan["execution_id"], replace(how, plan_id=plan_id))


@GROUP.app.command()
def report(
    context: typer.Context,
    plan_id: PlanId,
    report_format: Format = None,
    output: Output = None,
) -> None:
    """Show the report of a plan as it is now, or save it as a file."""
    name = choose_format(report_format, output)
    with open_client(context) as client:
        content = client.read_content("get_plan_report", plan_id=plan_id, format=name)
    write_content(content, output)


@GROUP.app.command()
def graph(context: typer.Context, plan_id: PlanId, output: Output = None) -> None:
    """Print the picture of a plan's steps as SVG, or save it as a file."""
    with open_client(context) as client:
        content = client.read_content("get_plan_graph", plan_id=plan_id)
    write_content(content, output)


def _follow(client: "Client", plan: Json, how: Following) -> None:
    if how.detach and how.output != "table":
        show.print_answer(plan, how.output, print_plan)
    else:
        follow_started(client, {"id": plan["execution_id"]}, replace(how, plan_id=plan["id"]))
