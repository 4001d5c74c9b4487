"""`perdure profile`: the gateways that a user has named, and the one that is in use."""

from typing import Annotated, Any

import typer

from cli.arguments.option_groups import with_output
from cli.command_groups.lazy import make_app
from cli.connection.endpoint import LOCAL, Endpoint, ProfileError, Profiles
from cli.terminal import show

app = make_app(name="profile", help="Gateways that you use: add, use, list, delete.")
ProfileName = Annotated[str, typer.Argument(metavar="NAME", help="The profile's name.")]


@app.command()
def add(
    name: ProfileName,
    api_url: Annotated[
        str, typer.Option("--api-url", help="The gateway, as https://perdure.example.com.")
    ],
    token: Annotated[
        str | None,
        typer.Option(
            "--token", help="Your token or API key. (default: asked for, or read from stdin)"
        ),
    ] = None,
) -> None:
    """Add a gateway, or change it, and use it from now on.

    The token is stored in a file that only you can read.
    """
    from cli.terminal.prompts import read_secret

    if name == LOCAL:
        raise ProfileError(f"{LOCAL!r} is the stack on this home; choose another name.")
    if not api_url.startswith(("http://", "https://")):
        raise ProfileError(f"--api-url {api_url}: begin with https:// or http://.")
    profiles = Profiles.read()
    endpoint = Endpoint(api_url.rstrip("/"), token or read_secret("Token or API key"))
    profiles.write({**profiles.endpoints, name: endpoint}, name)
    show.out.print(f"Commands now call {endpoint.api_url}, as the profile {name}.")


@app.command()
def use(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"A profile, or `{LOCAL}`: this home's stack.")
    ],
) -> None:
    """Use a profile from now on."""
    profiles = Profiles.read()
    if name == LOCAL:
        profiles.write(profiles.endpoints, None)
        show.out.print("Commands now call the stack that runs on the home of their directory.")
        return
    endpoint = profiles.get(name)
    profiles.write(profiles.endpoints, name)
    show.out.print(f"Commands now call {endpoint.api_url}.")


@app.command("list")
@with_output
def list_profiles(*, output: str) -> None:
    """List the profiles, without their tokens."""
    profiles = Profiles.read()
    items = [
        {"name": name, "api_url": endpoint.api_url, "in_use": name == profiles.current}
        for name, endpoint in profiles.endpoints.items()
    ]
    show.print_answer(items, output, _print_profiles)


def _print_profiles(items: list[dict[str, Any]]) -> None:
    show.print_rows(
        ("", "name", "gateway"),
        [("*" if item["in_use"] else "", item["name"], item["api_url"]) for item in items],
        nothing="No profiles: commands call this home's stack. `perdure profile add` adds one.",
    )


@app.command()
def delete(name: ProfileName) -> None:
    """Delete a profile and its token from this machine."""
    profiles = Profiles.read()
    profiles.get(name)
    left = {one: endpoint for one, endpoint in profiles.endpoints.items() if one != name}
    profiles.write(left, profiles.current if profiles.current != name else None)
    show.out.print(f"Deleted: {name}")
