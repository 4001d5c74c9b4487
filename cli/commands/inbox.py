"""`perdure inbox`: the requests that wait for people."""

import sys
from typing import Annotated, Literal

import typer

from cli.arguments.references import Reference, id_argument, open_client
from cli.arguments.times import parse_later
from cli.arguments.values import OTHERS
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
from cli.exits import Exit
from cli.terminal import show

Decision = Literal["approve", "deny", "finish", "happened", "not_happened", "skip"]
NOTHING_WAITS = "Nothing waits for you."
_REQUEST_ID = id_argument(
    lambda client: next(client.iterate("list_input_requests", status="open"), None),
    "list_input_requests",
    lister="inbox list",
    missing=NOTHING_WAITS,
)
RequestId = Annotated[str, _REQUEST_ID]
RequestIds = Annotated[list[str], _REQUEST_ID]
GROUP = CommandGroup(
    "inbox", "Requests that wait for people.", Reference({"request_id": RequestId})
)


@GROUP.app.callback(invoke_without_command=True, no_args_is_help=False)
def inbox(context: typer.Context) -> None:
    """Requests that wait for people; without a command, show them.

    On a terminal they fill the screen, and keys answer them: press ? there. Elsewhere they are a
    list, as `perdure inbox list` prints it.
    """
    from cli.terminal.prompts import is_interactive

    if context.invoked_subcommand is not None:
        return
    if not (is_interactive() and sys.stdout.isatty()):
        list_requests(context)
        return
    from cli.inbox.screen import show_inbox

    with open_client(context) as client:
        show_inbox(client)


list_requests = GROUP.add_list(
    "list_input_requests",
    "List requests, newest first; without options, those that are open.",
    TableView(
        "status, kind, title, about: tool_call.input?, since: created_at, due: due_at, id",
        nothing=NOTHING_WAITS,
    ),
    query={"status": "open"},
    options={
        "status": option("open, answered, expired or cancelled."),
        "kind": option("As `approval` or `question`."),
        "assignee": option("Assigned to this user, or to group:NAME."),
        **OTHERS,
    },
)


def _print_request(request: Json) -> None:
    from cli.inbox.answering import print_request

    print_request(request)


GROUP.add_action(
    "assign",
    "assign_input_request",
    "Assign a request to a user or a group, who can then answer it.",
    "Assigned to {assignee}.",
    options={"assignee": argument("USER", "A user (the `sub` of their token), or group:NAME.")},
)
GROUP.add_action(
    "claim", "claim_input_request", "Show others that you work on a request.", "You work on it."
)
GROUP.add_action(
    "release", "release_input_request", "Take your claim of a request back.", "Released."
)
GROUP.add_action(
    "comment",
    "comment_on_input_request",
    "Comment on a request. The model does not receive it.",
    "Commented.",
    options={"body": argument("TEXT", "The comment.")},
)
GROUP.add_show("Show all of a request.", "get_input_request", view=_print_request)


_RULE = Reference({"rule_id": argument("ID", "The id of the remembered decision.")})
GROUP.add_list(
    "list_remembered_decisions",
    "List the decisions that are remembered for later calls.",
    TableView(
        "decision, tool: tool_name, pattern|tool_input, scope, since: created_at, "
        "until: expires_at?, id",
        nothing="No decisions are remembered.",
    ),
    name="remembered",
    options={
        "task_id": option("Those for this task.", "--task"),
        "execution_id": option("Those for this execution.", "--execution"),
    },
)
GROUP.add_action(
    "forget",
    "revoke_remembered_decision",
    "Revoke a remembered decision; the next such call needs approval again.",
    "Revoked.",
    of=_RULE,
)


@GROUP.app.command("open")
def open_page(
    context: typer.Context,
    request_id: Annotated[str | None, _REQUEST_ID] = None,
) -> None:
    """Open the inbox or the page of a request in a browser, and sign in as you.

    Prints the link; on a terminal, also starts a browser.
    """
    import webbrowser

    from cli.terminal.prompts import is_interactive

    with open_client(context) as client:
        page = "/inbox"
        if request_id is not None:
            page = client.call("get_input_request", request_id=request_id)["_links"]["page"]
        url = client.call("create_sign_in_code", {"next": page})["url"]
    show.err.print("This link works once, within five minutes:")
    print(url)  # noqa: T201 - what a script reads
    if is_interactive():
        webbrowser.open(url)


_VIEW = Reference({"name": Annotated[str, typer.Argument(metavar="NAME")]})
GROUP.add_list(
    "list_inbox_views",
    "List your saved views of the inbox.",
    TableView("name, filters", nothing="No views yet. `perdure inbox save-view NAME` saves one."),
    name="views",
    pages="all",
)
GROUP.add_action(
    "save-view",
    "put_inbox_view",
    "Save filters as a view of the inbox, or replace the view of this name.",
    "Saved: {name}",
    of=_VIEW,
    options={
        "status": option("open, answered, expired or cancelled."),
        "kind": option("Only requests of this kind, such as approval."),
        "assignee": option("Only those assigned to this user or group."),
    },
)
GROUP.add_action(
    "delete-view", "delete_inbox_view", "Delete a saved view.", "Deleted: {name}", of=_VIEW
)


Edited = Annotated[
    str | None,
    typer.Option("--input", metavar="JSON|@FILE", help="Approve with this as the tool's input."),
]
Remember = Annotated[
    Literal["execution", "task"] | None,
    typer.Option(help="Decide later calls with this input in the same way."),
]
Pattern = Annotated[
    str | None, typer.Option(help="Remember it for the calls that this tool rule covers.")
]
Until = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="Remember it until then: 30d is in 30 days; or a date, as 2027-01-31. "
        "(default: at the end of the execution; for a task, in 90 days)",
        callback=lambda given: given and parse_later(given),
    ),
]


@GROUP.app.command()
def answer(
    context: typer.Context,
    request_id: RequestId,
    text: Annotated[
        str | None,
        typer.Argument(metavar="[TEXT]", help="The answer, an option's number, or a message."),
    ] = None,
    *,
    approve: Annotated[
        bool | None,
        typer.Option("--approve/--deny", help="To a question, --deny leaves it unanswered."),
    ] = None,
    choice: Annotated[
        Decision | None,
        typer.Option("--decision", help="A decision by its name, for an effect check or a budget."),
    ] = None,
    edited: Edited = None,
    remember: Remember = None,
    pattern: Pattern = None,
    until: Until = None,
) -> None:
    """Answer a request; a terminal asks for what is missing."""
    from cli.inbox import answering
    from cli.terminal.prompts import is_interactive

    decision = {True: "approve", False: "deny", None: choice}[approve]
    if approve is not None and choice is not None:
        raise answering.AnswerNeededError("Give either --decision, or --approve or --deny.")
    if edited is not None and approve is False:
        raise answering.AnswerNeededError("--input approves the edited call; leave out --deny.")
    is_complete = text is not None or decision is not None
    with open_client(context) as client:
        request = client.call("get_input_request", request_id=request_id)
        if edited is not None:
            body = answering.make_edit(edited, text)
        elif not is_complete and request["status"] == "open" and is_interactive():
            body = answering.ask(request)
        else:
            chosen = answering.choose_option(request.get("options") or [], text)
            body = answering.make_answer(request, chosen, decision)
        rule = {"remember": remember, "remember_pattern": pattern, "remember_until": until}
        body |= {name: value for name, value in rule.items() if value is not None}
        answered = client.call("answer_input_request", body, request_id=request_id)
    if answered["status"] == "open":
        left = answered["approvals_required"] - len(answered["approvals"])
        show.out.print(f"Approved. It stays open; approvals of others that it needs: {left}.")
    else:
        show.out.print("Answered; the execution continues.")


@GROUP.app.command()
def approve(
    context: typer.Context,
    request_id: RequestId,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="A message to the model.")
    ] = None,
    *,
    budget: Annotated[
        float | None, typer.Option(min=0, help="The new budget in USD, for a budget request.")
    ] = None,
    edited: Edited = None,
    remember: Remember = None,
    pattern: Pattern = None,
    until: Until = None,
) -> None:
    """Approve a tool call, a plan or a budget; with --input, edit the call and approve it."""
    message = text if budget is None else str(budget)
    answer(
        context,
        request_id,
        message,
        approve=True,
        edited=edited,
        remember=remember,
        pattern=pattern,
        until=until,
    )


@GROUP.app.command()
def deny(
    context: typer.Context,
    request_id: RequestId,
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT]", help="Why; the model reads it.")
    ] = None,
) -> None:
    """Deny a tool call, a plan or a budget, or leave a question unanswered."""
    answer(context, request_id, text, approve=False)


@GROUP.app.command("answer-alike")
def answer_alike(
    context: typer.Context,
    request_ids: RequestIds,
    *,
    approve: Annotated[bool, typer.Option("--approve/--deny", help="For all of them.")],
    message: Annotated[str | None, typer.Option(help="A message for the model.")] = None,
    undo_seconds: Annotated[
        float,
        typer.Option(
            min=0,
            max=60,
            metavar="SECONDS",
            help="The answers take effect after this time; until then `perdure inbox withdraw` "
            "withdraws them.",
        ),
    ] = 0,
) -> None:
    """Approve or deny alike tool calls together; prints each of them first."""
    from cli.inbox import answering

    with open_client(context) as client:
        seen = []
        for request_id in request_ids:
            request = client.call("get_input_request", request_id=request_id)
            answering.print_request(request)
            if request.get("tool_call") is None:
                raise answering.AnswerNeededError(f"{request_id} asks for no tool call.")
            seen.append({"id": request["id"], "input_sha256": request["tool_call"]["input_sha256"]})
        body = {
            "requests": seen,
            "decision": "approve" if approve else "deny",
            "message": message,
            "undo_seconds": undo_seconds,
        }
        result = client.call("answer_input_requests", body)
    _print_skipped(result)
    show.out.print(f"Answered: {result['answered']}.")
    if held := result["held_ids"]:
        show.out.print(f"Until they take effect: perdure inbox withdraw {' '.join(held)}")
    if approved := result["approved_ids"]:
        show.out.print(f"Approved, and waiting for more people: {len(approved)}.")


@GROUP.app.command()
def withdraw(context: typer.Context, request_ids: RequestIds) -> None:
    """Withdraw your answers before they take effect."""
    with open_client(context) as client:
        result = client.call("withdraw_answers", {"ids": request_ids})
    _print_skipped(result)
    show.out.print(f"Withdrawn, and open again: {len(result['input_request_ids'])}.")
    if result["skipped"]:
        raise typer.Exit(Exit.USAGE)


def _print_skipped(result: Json) -> None:
    for skipped in result["skipped"]:
        show.err.print(f"{skipped['id']}: {skipped['reason']}")
