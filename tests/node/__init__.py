"""npm packages that tests run: servers and clients of MCP by other authors.

`package-lock.json` names the versions. They are installed once for each checkout, into `.venv`.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from bench.packages import NODE, npm_packages

IDENTITY_PROVIDER = Path(__file__).with_name("identity_provider.mjs")
"""A program that needs the installed packages beside it."""

PLACE = Path(sys.prefix) / "node"


def node_tool(package: str, command: str | None = None) -> Sequence[str]:
    """Return how to start a command of an npm package, which needs no network.

    Without `command`, the package has only one.
    """
    folder = installed_packages() / package
    commands = json.loads((folder / "package.json").read_text())["bin"]
    if isinstance(commands, str):
        script = commands
    else:
        script = commands[command] if command else next(iter(commands.values()))
    return [str(NODE), str(folder / script)]


def azure_server() -> Sequence[str]:
    """Return how to start the server with the API of Azure Blob Storage, without its options."""
    modules = npm_packages(Path(__file__).with_name("azure"), PLACE.with_name("node-azure"))
    return [str(NODE), str(modules / "azurite" / "dist" / "src" / "blob" / "main.js")]


@cache
def installed_packages() -> Path:
    """Return the folder with all packages; the first caller of a checkout installs them."""
    return npm_packages(Path(__file__).parent, PLACE)
