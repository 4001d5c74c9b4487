"""Programs that use the network without settings by the user: git, pip and ssh."""

import asyncio
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

from tests.tools.network.conftest import Connect

WHEEL = "greeting-1.0-py3-none-any.whl"


class QuietHandler(SimpleHTTPRequestHandler):
    """Serves files and writes no log."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - of the base class
        """Write nothing."""


@contextmanager
def serving(directory: Path) -> Iterator[int]:
    """Serve the files of a directory on a free port of localhost."""
    handler = partial(QuietHandler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


async def test_git_clones(connect: Connect, tmp_path: Path) -> None:
    source = tmp_path / "site" / "project.git"
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for arguments in (
        ("init", "--quiet", str(source)),
        ("-C", str(source), *identity, "commit", "--quiet", "--allow-empty", "-m", "The first."),
        ("-C", str(source), "update-server-info"),
    ):
        subprocess.run(["git", *arguments], check=True)  # noqa: S607, ASYNC221 - takes milliseconds
    with serving(source) as port:
        calls = connect(f"localhost:{port}")
        text = await calls.bash(
            f"git clone --quiet http://localhost:{port}/.git copy && git -C copy log --format=%s; "
            f"git clone http://localhost:{port + 1}/.git other"
        )
    assert "The first." in text
    assert "not in the network list" in text


async def test_pip_installs_from_an_index(connect: Connect, tmp_path: Path) -> None:
    index = tmp_path / "site" / "greeting"
    index.mkdir(parents=True)
    with zipfile.ZipFile(index / WHEEL, "w") as wheel:
        wheel.writestr("greeting.py", "print('good morning')")
        wheel.writestr("greeting-1.0.dist-info/METADATA", "Name: greeting\nVersion: 1.0\n")
        wheel.writestr(
            "greeting-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr("greeting-1.0.dist-info/RECORD", "")
    (index / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    spec = find_spec("pip")
    assert spec is not None
    assert spec.origin is not None
    with serving(tmp_path / "site") as port:
        calls = connect(f"localhost:{port}")
        # The one of this environment: not every host has pip.
        shutil.copytree(Path(spec.origin).parent, calls.workspace / "lib" / "pip")
        outcome = await calls(
            "bash",
            command=f"PYTHONPATH=lib python3 -m pip install --quiet --target found "
            f"--index-url http://localhost:{port} --trusted-host localhost greeting && "
            "PYTHONPATH=found python3 -c 'import greeting'",
        )
    assert "good morning" in outcome.text
    assert {c.verdict for c in outcome.connections.connections} == {"allowed"}


async def test_ssh_exchanges_its_first_messages(connect: Connect) -> None:
    greetings: list[bytes] = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OfTheTest\r\n")
        greetings.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        calls = connect(f"localhost:{port}")
        text = await calls.bash(
            f"ssh -v -p {port} git@localhost true; ssh -p {port} git@other.example true"
        )
    assert "remote software version OfTheTest" in text
    assert greetings[0].startswith(b"SSH-2.0-")
    assert f"other.example:{port} is not in the network list" in text
