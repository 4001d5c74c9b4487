"""`perdure admin`: what only admins see and do."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import Reference, open_client
from cli.arguments.values import ArgumentError
from cli.command_groups.resources import NOTHING, CommandGroup, Json, TableView, argument, option
from cli.exits import CommandError, Exit
from cli.terminal import show
from domain.ids import is_id

if TYPE_CHECKING:
    from cli.connection.client import Client

DEFAULT = "default"
"""In place of a quota: the operator's."""

UserName = Annotated[
    str, typer.Argument(metavar="USER", help="A user's subject (the token's `sub`) or id.")
]


class DamagedArtifactsError(CommandError):
    """Stored files are damaged; they are listed before this."""

    exit = Exit.FAILED


@contextmanager
def open_admin_client(context: typer.Context) -> "Iterator[Client]":
    """As `open_client`; a refusal says how to become an admin."""
    from cli.connection.client import RefusedError

    try:
        with open_client(context) as client:
            yield client
    except RefusedError as error:
        if error.problem.get("code") != "permission_denied":
            raise
        raise ArgumentError(
            f"{error} Put an admin's token or key into PERDURE_TOKEN; on the machine of "
            "`perdure up`, `perdure token --role admin` prints one."
        ) from error


def find_user(client: "Client", user: str) -> Json:
    """The user with this subject or id.

    Raises:
        ArgumentError: there is none with this subject.
    """
    for found in client.iterate("list_users", subject=user):
        return found
    if not is_id(user):
        raise ArgumentError(f"There is no user {user!r}. `perdure admin users` lists them.")
    by_id: Json = client.call("get_user", user_id=user)
    return by_id


GROUP = CommandGroup(
    "admin",
    "What only admins see and do.",
    Reference({"user": UserName}, find_user, {"user_id": "id"}),
    connect=open_admin_client,
)


def _format_quota(value: float | None) -> str:
    return DEFAULT if value is None else f"{value:g}"


GROUP.add_list(
    "list_users",
    "List users, newest first.",
    TableView(
        "subject, role, disabled: disabled_at, at once, USD a day, first seen: created_at, id",
        nothing="No such users. A user exists from their first request on.",
        computed={
            "at once": lambda user: _format_quota(user["max_concurrent_executions"]),
            "USD a day": lambda user: _format_quota(user["max_usd_per_day"]),
        },
    ),
    name="users",
    options={
        "role": option("Users of this role.", kind=Literal["user", "admin"] | None),
        "is_disabled": option(
            "Only these users. (default: all)", "--disabled/--enabled", kind=bool | None
        ),
    },
    limit=20,
)


def _make_invitation(given: Json, _: Json) -> Json:
    days = given.pop("days", None)
    expires_at = None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()
    return {**given, "expires_at": expires_at}


def _print_invitation(user: Json) -> None:
    show.err.print(f"{user['subject']} begins with this, on their machine:")
    show.err.print(f"  perdure profile add NAME --api-url {user['api_url']} --token KEY")
    show.err.print("This is their key. Send it to them only; it is not shown again:")
    print(user["api_key"])  # noqa: T201 - what a script reads


GROUP.add_action(
    "invite",
    "invite_user",
    "Create a user, and print the API key that they begin with.",
    _print_invitation,
    of=Reference(),
    options={
        "subject": argument("USER", "The user's subject: the `sub` of their tokens."),
        "role": option("Their role.", kind=Literal["user", "admin"], default="user"),
        "days": option("Days the key is valid. (default: no end)", kind=int | None, min=1),
    },
    make_body=_make_invitation,
    has_json=True,
    is_start=True,
)
GROUP.add_show("Show a user; quotas that are missing are the operator's defaults.")
GROUP.add_action(
    "disable",
    "update_user",
    "Refuse every request of a user; running executions continue.",
    "{subject} is disabled; `perdure admin enable` undoes it.",
    make_body=lambda *_: {"is_disabled": True},
)
GROUP.add_action(
    "enable",
    "update_user",
    "Accept the requests of a disabled user again.",
    "{subject} is enabled.",
    make_body=lambda *_: {"is_disabled": False},
)


def _make_quotas(given: Json, _: Json) -> Json:
    if not given:
        raise ArgumentError(
            "Give --at-once, --usd-per-day or --stored-bytes, with a number or `default`."
        )
    return {
        name: _parse_quota(text, float if name == "max_usd_per_day" else int)
        for name, text in given.items()
    }


def _parse_quota(text: str, number: type[int] | type[float]) -> float | None:
    if text == DEFAULT:
        return None
    try:
        return number(text)
    except ValueError as error:
        raise ArgumentError(f"{text!r}: write a number, or `{DEFAULT}`.") from error


GROUP.add_action(
    "quotas",
    "update_user",
    "Give a user other quotas than the operator's, or reset them; `admin get` shows them.",
    "{subject} has these quotas from now on.",
    options={
        "max_concurrent_executions": option(
            "Unfinished executions at once, or `default`.", "--at-once"
        ),
        "max_usd_per_day": option("What a day (UTC) may cost, or `default`.", "--usd-per-day"),
        "max_stored_bytes": option(
            "Bytes of definitions, artifacts and workspaces, or `default`.", "--stored-bytes"
        ),
        "max_memory_entries": option("Entries of the memory, or `default`.", "--memory-entries"),
    },
    make_body=_make_quotas,
)


def _print_stats(stats: Json) -> None:
    highest, queue = stats["counted_to"], stats["queue"]
    waits = queue["oldest_pending_seconds"]
    show.print_fields(
        {
            "users": f"{_format_count(stats['users'], highest)}, "
            f"{stats['users_disabled']} disabled",
            "tasks": _format_count(stats["tasks"], highest),
            "sessions": _format_count(stats["sessions"], highest),
            "executions now": _format_statuses(stats["executions"]),
            "executions today": _format_statuses(stats["executions_today"]),
            "cost today": show.format_money(stats["cost_today_usd"]),
            "waiting for a worker": f"{queue['pending']}"
            + ("" if waits is None else f", the oldest for {waits:.0f} s"),
        }
    )


def _format_count(number: int, highest: int) -> str:
    return f"{highest} or more" if number >= highest else str(number)


def _format_statuses(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {status}" for status, number in counts.items() if number) or "none"


GROUP.add_action(
    "stats",
    "get_stats",
    "Show the number of resources, what runs, and today's cost (UTC).",
    _print_stats,
    of=Reference(),
    has_json=True,
)


@GROUP.app.command("check-artifacts")
@with_output
def check_artifacts(context: typer.Context, *, output: str) -> None:
    """Read every stored file, and list those that are missing or changed; exit with 1 if any is."""
    files, size, damaged = 0, 0, []
    after: str | None = ""
    with open_admin_client(context) as client:
        while after is not None:
            found: Json = client.call("check_artifacts", after=after)
            files, size = files + found["files"], size + found["size_bytes"]
            damaged += found["damaged"]
            after = found["next_after"]
    checked = {"files": files, "size_bytes": size, "damaged": damaged}
    show.print_answer(checked, output, _print_check)
    if damaged:
        raise typer.Exit(Exit.FAILED)


def _print_check(checked: Json) -> None:
    """Print what is damaged.

    Raises:
        DamagedArtifactsError: something is.
    """
    files, damaged = checked["files"], checked["damaged"]
    for file in damaged:
        show.print_fields(_describe_damage(file))
    if damaged:
        raise DamagedArtifactsError(
            f"{len(damaged)} of {files} files are damaged. Restore them from a backup of the store."
        )
    show.out.print(f"{files} files ({show.format_bytes(checked['size_bytes'])}) are intact.")


def _describe_damage(file: Json) -> Mapping[str, object]:
    return {
        file["damage"]: file["sha256"],
        "artifacts": ", ".join(f"{a['name']} ({a['id']})" for a in file["artifacts"]),
        "executions": ", ".join(file["execution_ids"]),
    }


def find_group(client: "Client", group: str) -> Json:
    """The group with this name.

    Raises:
        ArgumentError: there is none.
    """
    for found in client.iterate("list_groups"):
        if found["name"] == group:
            return dict(found)
    raise ArgumentError(f"There is no group {group!r}. `perdure admin groups` lists them.")


_GROUP = Reference({"group": argument("GROUP", "Its name.")}, find_group, {"group_id": "id"})
_MEMBERS = option("A user by their `sub`. May be repeated.", "--member", kind=list[str] | None)

GROUP.add_list(
    "list_groups",
    "List the groups that requests are assigned to.",
    TableView("name, members, description, id", nothing="There are no groups."),
    name="groups",
)
GROUP.add_action(
    "create-group",
    "create_group",
    "Create a group; assign requests to it as group:NAME.",
    "Created: group:{name}",
    of=NOTHING,
    options={"name": argument("NAME", "Its name."), "members": _MEMBERS},
    has_json=True,
)
GROUP.add_action(
    "set-members",
    "update_group",
    "Replace the members of a group.",
    "Changed: group:{name}",
    of=_GROUP,
    options={"members": _MEMBERS},
    make_body=lambda given, _: {"members": given.get("members", [])},
)
GROUP.add_action("delete-group", "delete_group", "Delete a group.", "Deleted.", of=_GROUP)
