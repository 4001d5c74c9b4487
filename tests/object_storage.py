"""A real S3 server, which verifies signatures, with a bucket for each test."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cli.stack import launch
from cli.stack.addresses import free_port
from cli.stack.process import tie_to_parent
from domain.ids import new_id
from tests.waiting import until

KEY, SECRET = "perdure-tests", "the secret key of the tests"


def _accepts(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def object_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the server, and its directory, in which a directory is a bucket."""
    data, port = tmp_path_factory.mktemp("buckets"), free_port()
    program = Path(sys.executable).with_name("nanio")
    command = [str(program), "serve", "--data-dir", str(data), "--host", "127.0.0.1"]
    quiet = ["--port", str(port), "--no-access-log", "--log-level", "error"]
    credentials = {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    with subprocess.Popen(
        tie_to_parent([*command, *quiet], signal.SIGKILL, launch.SELF),
        env={**os.environ, **credentials},
    ) as server:
        until(lambda: _accepts(port), within=60, what="the S3 server")
        yield f"http://127.0.0.1:{port}", data
        server.terminate()


@pytest.fixture
def bucket(object_storage: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a bucket; the environment has the credentials for it."""
    address, data = object_storage
    name = f"bucket-{new_id()}"
    (data / name).mkdir()
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    return f"s3://{name}/perdure/artifacts"
