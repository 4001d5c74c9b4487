"""`perdure admin`: what only admins see and do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

if TYPE_CHECKING:
    from cli.client import Gateway, Json

app = typer.Typer(name="admin", help="What only admins see and do.", no_args_is_help=True)
UserName = Annotated[
    str, typer.Argument(metavar="USER", help="A user's subject (the token's `sub`) or id.")
]

DEFAULT = "default"
"""In a quota's place: the operator's."""


@app.command()
def users(
    context: typer.Context,
    role: Annotated[Literal["user", "admin"] | None, typer.Option(help="Of this role.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    disabled: Annotated[
        bool | None, typer.Option("--disabled/--enabled", help="Only those. (default: all)")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List users, newest first."""
    from cli import show

    only = None if disabled is None else str(disabled).lower()
    with _as_admin(context) as gateway:
        page = gateway.get("/admin/users", role=role, is_disabled=only, page_size=limit)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("subject", "role", "disabled", "at once", "USD a day", "first seen", "id"),
        [
            (
                user["subject"],
                user["role"],
                show.when(user["disabled_at"]),
                _quota(user["max_concurrent_executions"]),
                _quota(user["max_usd_per_day"]),
                show.when(user["created_at"]),
                user["id"],
            )
            for user in page["items"]
        ],
        nothing="No such users. A user is there from their first request on.",
    )


@app.command("show")
def show_user(context: typer.Context, user: UserName, *, as_json: AsJson = False) -> None:
    """Show a user; quotas that are left out are the operator's defaults."""
    from cli import show

    with _as_admin(context) as gateway:
        found = _found(gateway, user)
    (show.as_json if as_json else show.fields)(found)


@app.command()
def disable(context: typer.Context, user: UserName) -> None:
    """Refuse everything a user asks; what runs already goes on."""
    _change(context, user, {"is_disabled": True}, "is disabled; `perdure admin enable` undoes it.")


@app.command()
def enable(context: typer.Context, user: UserName) -> None:
    """Let a disabled user in again."""
    _change(context, user, {"is_disabled": False}, "may ask again.")


@app.command()
def quotas(
    context: typer.Context,
    user: UserName,
    at_once: Annotated[
        str | None, typer.Option(help="Unfinished executions at once, or `default`.")
    ] = None,
    usd_per_day: Annotated[
        str | None, typer.Option(help="What a day (UTC) may cost, or `default`.")
    ] = None,
) -> None:
    """Give a user other quotas than the operator's, or these back; `admin show` tells them."""
    from cli.exits import CommandError

    body: dict[str, Any] = {}
    if at_once is not None:
        body["max_concurrent_executions"] = _number(at_once, int)
    if usd_per_day is not None:
        body["max_usd_per_day"] = _number(usd_per_day, float)
    if not body:
        raise CommandError("Say which: --at-once or --usd-per-day, with a number or `default`.")
    _change(context, user, body, "has these quotas from now on.")


@app.command()
def stats(context: typer.Context, *, as_json: AsJson = False) -> None:
    """Show how much of everything there is, what runs, and what today (UTC) has cost."""
    from cli import show

    with _as_admin(context) as gateway:
        found = gateway.get("/admin/stats")
    if as_json:
        show.as_json(found)
        return
    most, queue = found["counted_to"], found["queue"]
    waits = queue["oldest_pending_seconds"]
    show.fields(
        {
            "users": f"{_counted(found['users'], most)}, {found['users_disabled']} disabled",
            "tasks": _counted(found["tasks"], most),
            "sessions": _counted(found["sessions"], most),
            "executions now": _by_status(found["executions"]),
            "executions today": _by_status(found["executions_today"]),
            "cost today": show.money(found["cost_today_usd"]),
            "waiting for a worker": f"{queue['pending']}"
            + ("" if waits is None else f", the oldest for {waits:.0f} s"),
        }
    )


@contextmanager
def _as_admin(context: typer.Context) -> "Iterator[Gateway]":
    """The gateway; to who is no admin, how to be one."""
    from cli.client import RefusedError
    from cli.exits import CommandError

    try:
        with gateway_of(context) as gateway:
            yield gateway
    except RefusedError as error:
        if error.problem.get("code") != "permission_denied":
            raise
        raise CommandError(
            f"{error} Put an admin's token or key into PERDURE_TOKEN; on the machine of "
            "`perdure up`, `perdure token --role admin` prints one."
        ) from error


def _found(gateway: "Gateway", subject_or_id: str) -> "Json":
    from cli import arguments
    from cli.exits import CommandError

    for user in gateway.items("/admin/users", subject=subject_or_id):
        return user
    if not arguments.is_id(subject_or_id):
        raise CommandError(f"There is no user {subject_or_id!r}. `perdure admin users` lists them.")
    by_id: Json = gateway.get(f"/admin/users/{subject_or_id}")
    return by_id


def _change(context: typer.Context, user: str, body: dict[str, Any], told: str) -> None:
    from cli import show

    with _as_admin(context) as gateway:
        found = _found(gateway, user)
        gateway.patch(f"/admin/users/{found['id']}", body)
    show.out.print(f"{found['subject']} {told}", markup=False)


def _number(text: str, number: type[int] | type[float]) -> float | None:
    from cli.exits import CommandError

    if text == DEFAULT:
        return None
    try:
        return number(text)
    except ValueError as error:
        raise CommandError(f"{text!r}: write a number, or `{DEFAULT}`.") from error


def _quota(value: float | None) -> str:
    return DEFAULT if value is None else f"{value:g}"


def _counted(number: int, most: int) -> str:
    return f"{most} or more" if number >= most else str(number)


def _by_status(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {status}" for status, number in counts.items() if number) or "none"
