"""`perdure api-keys`: what programs show instead of a token."""

from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(name="api-keys", help="Keys for programs.", no_args_is_help=True)


@app.command("list")
def list_keys(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List my keys that are not revoked, newest first."""
    from cli import show

    with gateway_of(context) as gateway:
        page = gateway.get("/api-keys", page_size=100)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("name", "begins with", "role", "last used", "ends", "id"),
        [
            (
                key["name"],
                key["prefix"],
                key["role"],
                show.when(key["last_used_at"]),
                show.when(key["expires_at"]),
                key["id"],
            )
            for key in page["items"]
        ],
        nothing="No API keys. `perdure api-keys create NAME` makes one.",
    )


@app.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    days: Annotated[
        int | None, typer.Option(min=1, max=3649, help="How long it holds. (default: for ever)")
    ] = None,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="It may do what admins may.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, this once."""
    from datetime import UTC, datetime, timedelta

    from cli import show

    ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
    body = {
        "name": name,
        "role": "admin" if admin else "user",
        "expires_at": None if ends is None else ends.isoformat(),
    }
    with gateway_of(context) as gateway:
        key = gateway.post("/api-keys", body)
    if as_json:
        show.as_json(key)
        return
    show.err.print("Keep it now: nobody can read it again.")
    print(key["secret"])  # noqa: T201 - what a script reads


@app.command()
def revoke(
    context: typer.Context,
    key_id: Annotated[str, typer.Argument(metavar="ID", help="A key's id.")],
) -> None:
    """Revoke a key: it opens nothing any more."""
    from cli import show

    with gateway_of(context) as gateway:
        gateway.delete(f"/api-keys/{key_id}")
    show.out.print("Revoked.")
