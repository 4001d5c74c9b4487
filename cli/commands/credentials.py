"""`perdure secrets` and `perdure api-keys`: values that tasks use, and keys for programs."""

import base64
import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from cli.arguments.references import (
    API_KEY,
    Reference,
    open_client,
    refer_by_name,
)
from cli.command_groups.resources import CommandGroup, Json, TableView, argument, option
from cli.terminal import show

SecretName = Annotated[str, typer.Argument(metavar="NAME")]
SECRETS = CommandGroup(
    "secrets",
    "Values that tasks use and that are never shown again.",
    Reference({"name": SecretName}),
)

SECRETS.add_list(
    "list_secrets",
    "List your secrets and what they may reach, without their values.",
    TableView(
        "name, hosts, tools, changed: updated_at, used: last_used_at",
        nothing="No secrets yet. `perdure secrets set NAME` stores one.",
    ),
    pages="all",
)


@SECRETS.app.command("set")
def set_secret(
    context: typer.Context,
    name: SecretName,
    host: Annotated[list[str] | None, typer.Option(help="A host it may be sent to.")] = None,
    tool: Annotated[list[str] | None, typer.Option(help="A tool that may get it.")] = None,
    *,
    signing_key: Annotated[
        bool, typer.Option("--signing-key", help="Make a webhook's signing key and print it once.")
    ] = False,
) -> None:
    """Store or replace a secret; its value is asked for, or read from stdin."""
    from cli.terminal.prompts import read_secret

    value = _make_signing_key() if signing_key else read_secret("Value")
    body = {"value": value, "hosts": host or [], "tools": tool or []}
    with open_client(context) as client:
        made = client.call("put_secret", body, name=name)
    if made is None:
        show.err.print(f"{name} existed: its former value is gone.")
    if signing_key:
        show.out.print(value)
        show.err.print("Give this to the receiver of the webhook; it is not shown again.")
    else:
        show.out.print(f"Stored. Use it as secret://{name}.")


SECRETS.add_action(
    "delete", "delete_secret", "Delete a secret; what refers to it fails.", "Deleted: {name}"
)


def _make_signing_key() -> str:
    """32 random bytes, as Standard Webhooks writes a symmetric key."""
    return "whsec_" + base64.b64encode(os.urandom(32)).decode("ascii")


# --- API keys -------------------------------------------------------------------------------------

API_KEYS = CommandGroup(
    "api-keys",
    "Keys for programs: list, create, rotate, revoke.",
    refer_by_name(
        API_KEY, Annotated[str, typer.Argument(metavar="KEY", help="A key's name or id.")]
    ),
)

API_KEYS.add_list(
    "list_api_keys",
    "List your keys that are not revoked, newest first.",
    TableView(
        "name, begins with: prefix, role, last used: last_used_at, ends: expires_at, id",
        nothing="No API keys. `perdure api-keys create NAME` makes one.",
    ),
)


def _make_key(given: Json, _: Json) -> Json:
    days = given.get("days")
    expires_at = None if days is None else (datetime.now(UTC) + timedelta(days=days)).isoformat()
    role = "admin" if given["admin"] else "user"
    scopes = ["approve"] if given["approve"] else []
    return {"name": given["name"], "role": role, "expires_at": expires_at, "scopes": scopes}


def _print_key(key: Json) -> None:
    show.err.print("Store it now: it is not shown again.")
    print(key["secret"])  # noqa: T201 - what a script reads


API_KEYS.add_action(
    "create",
    "create_api_key",
    "Make a key and print it once.",
    _print_key,
    of=Reference(),
    options={
        "name": argument("NAME", "What it is for."),
        "days": option("Days it is valid. (default: no end)", kind=int | None, min=1, max=3649),
        "admin": option("Give it the role of an admin.", "--admin", kind=bool, default=False),
        "approve": option(
            "Let the key approve tool calls, plans and budgets; not for keys that a model uses.",
            "--approve",
            kind=bool,
            default=False,
        ),
    },
    make_body=_make_key,
    has_json=True,
)
API_KEYS.add_action(
    "rotate",
    "rotate_api_key",
    "Replace a key by a new one with its name, role and scopes, and print that once.\n\n"
    "The old one is refused at once.",
    _print_key,
    has_json=True,
    is_start=True,
)
API_KEYS.add_action("revoke", "revoke_api_key", "Revoke a key: it is refused at once.", "Revoked.")
