"""`perdure sessions`: conversations."""

from typing import Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import Reference, id_argument, open_client
from cli.arguments.values import OTHERS, ArgumentError
from cli.command_groups.resources import CommandGroup, Json, TableView, option
from cli.commands.executions import print_transcript
from cli.executions.follow_options import Following, Interrupt, with_detaching
from cli.executions.following import follow_started
from cli.terminal import show

SessionId = Annotated[
    str,
    id_argument(
        lambda client: next(client.iterate("list_sessions", page_size=1), None),
        "list_sessions",
        lister="sessions list",
        missing="There is no session yet. `perdure sessions create` starts one.",
    ),
]
GROUP = CommandGroup("sessions", "Conversations.", Reference({"session_id": SessionId}))

GROUP.add_list(
    "list_sessions",
    "List conversations, newest first.",
    TableView(
        "title: title|name, agent: agent_id, begun: created_at, id",
        nothing="No sessions. `perdure sessions create` starts one.",
    ),
    options={
        "agent_id": option("Sessions with this agent."),
        "is_interactive": option(
            "Started by a person, or by a task.", "--interactive/--of-tasks", kind=bool | None
        ),
        **OTHERS,
    },
    limit=20,
)


@GROUP.app.command("get")
@with_output
def get_session(
    context: typer.Context,
    session_id: SessionId,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many latest messages.")] = 20,
    *,
    output: str,
) -> None:
    """Show a conversation and its latest messages, oldest first."""
    with open_client(context) as client:
        found = client.call("get_session", session_id=session_id)
        page = client.call("list_session_messages", session_id=session_id, limit=limit)
    show.print_answer({**found, "messages": page["items"]}, output, _print_session)


def _print_session(session: Json) -> None:
    messages = session.pop("messages")
    show.print_fields(session)
    print_transcript(messages)


NO_AGENT = option("Claude answers without an agent.", "--no-agent", kind=bool, default=False)


def _make_session(given: Json, _: Json) -> Json:
    model = given.pop("model", None)
    return {**_choose_agent(given), "sdk_options": {} if model is None else {"model": model}}


def _choose_agent(given: Json) -> Json:
    """The fields with `agent_id: null` for `--no-agent`; it is left out if neither is given."""
    return {**given, "agent_id": None} if given.pop("no_agent") else given


def _make_update(given: Json, _: Json) -> Json:
    update = _choose_agent(given)
    if not update:
        raise ArgumentError("Give what to change: --title, --agent or --no-agent.")
    return update


GROUP.add_action(
    "create",
    "create_session",
    "Start a conversation.",
    "{id}",
    of=Reference(),
    options={
        "agent_id": option(
            "The agent that answers. (default: the one whose capabilities match the first message)",
            "--agent",
        ),
        "no_agent": NO_AGENT,
        "title": option("A title."),
        "model": option("The model that answers."),
    },
    make_body=_make_session,
    has_json=True,
    is_start=True,
)


GROUP.add_action(
    "update",
    "update_session",
    "Change the title of a conversation, or the agent of its next turns.",
    show.print_fields,
    options={
        "agent_id": option("The agent that answers from now on.", "--agent"),
        "no_agent": NO_AGENT,
        "title": option("Another title."),
    },
    make_body=_make_update,
    has_json=True,
)


@GROUP.app.command()
@with_detaching
def say(
    context: typer.Context,
    session_id: SessionId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="The message.")],
    how: Following,
    *,
    interrupt: Interrupt = False,
) -> None:
    """Send a message to a conversation and wait for the answer. Exit codes are those of `run`."""
    body = {"content": text, "interrupt": interrupt}
    with open_client(context) as client:
        execution = client.start("send_session_message", body, session_id=session_id)
        follow_started(client, execution, how)


GROUP.add_action(
    "delete",
    "delete_session",
    "Delete a conversation; its executions stay readable.",
    "Deleted: {session_id}",
)
