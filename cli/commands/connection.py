"""What commands that talk to a gateway share: the options given before them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from cli.client import Gateway


@dataclass(frozen=True, slots=True)
class Given:
    """The options of `perdure` itself."""

    api_url: str | None = None
    token: str | None = None


def gateway_of(context: typer.Context) -> "Gateway":
    """The gateway this command talks to."""
    from cli.client import Gateway, find_place
    from cli.configuration import load

    given: Given = context.obj
    return Gateway(find_place(load(api_url=given.api_url, token=given.token)))
