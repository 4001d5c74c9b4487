"""`perdure secrets`: what tasks may use and nobody reads again."""

from typing import Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson

app = typer.Typer(
    name="secrets", help="Values that tasks use and nobody reads again.", no_args_is_help=True
)
Name = Annotated[str, typer.Argument(metavar="NAME")]


@app.command("list")
def list_secrets(context: typer.Context, *, as_json: AsJson = False) -> None:
    """List my secrets and what they may reach; never their values."""
    from cli import show

    with gateway_of(context) as gateway:
        found = list(gateway.items("/secrets"))
    if as_json:
        show.as_json(found)
        return
    show.rows(
        ("name", "hosts", "tools", "changed", "used"),
        [
            (
                s["name"],
                ", ".join(s["hosts"]),
                ", ".join(s["tools"]),
                show.when(s["updated_at"]),
                show.when(s["last_used_at"]),
            )
            for s in found
        ],
        nothing="No secrets yet. `perdure secrets set NAME` keeps one.",
    )


@app.command("set")
def set_secret(
    context: typer.Context,
    name: Name,
    host: Annotated[list[str] | None, typer.Option(help="May be sent to this host.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="May be given to this tool.")] = None,
    *,
    signing_key: Annotated[
        bool, typer.Option("--signing-key", help="Make a webhook's signing key and print it once.")
    ] = False,
) -> None:
    """Keep a secret, or put another in its place; the value is asked for, or read from stdin."""
    from cli import show
    from cli.answering import secret

    value = _new_signing_key() if signing_key else secret("Value")
    body = {"value": value, "hosts": host or [], "tools": tool or []}
    with gateway_of(context) as gateway:
        made = gateway.put(f"/secrets/{name}", body)
    if made is None:
        show.err.print(f"{name} was there: its former value is gone.", markup=False)
    if signing_key:
        show.out.print(value, soft_wrap=True)
        show.err.print("Give this to whoever verifies the signatures; it is not shown again.")
    else:
        show.out.print(f"Kept. Use it as secret://{name}.")


@app.command("delete")
def delete_secret(context: typer.Context, name: Name) -> None:
    """Forget a secret; what refers to it fails from now on."""
    from cli import show

    with gateway_of(context) as gateway:
        gateway.delete(f"/secrets/{name}")
    show.out.print(f"Deleted: {name}", markup=False)


def _new_signing_key() -> str:
    """32 random bytes, as Standard Webhooks writes a symmetric key."""
    import base64
    import os

    return "whsec_" + base64.b64encode(os.urandom(32)).decode("ascii")
