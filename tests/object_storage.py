"""Real servers with the APIs of S3, of Google Cloud Storage and of Azure Blob Storage.

They verify signatures. Each test has a bucket, or a container, of its own.
"""

import base64
import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from email.utils import formatdate
from pathlib import Path

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cli.stack import launch
from cli.stack.addresses import free_port
from cli.stack.process import tie_to_parent
from domain.ids import new_id
from tests import google_storage as google_server
from tests.node import azure_server
from tests.waiting import until

KEY, SECRET = "perdure-tests", "the secret key of the tests"

ACCOUNT, ACCOUNT_KEY = "perduretests", base64.b64encode(b"the account key of the tests").decode()

START_SECONDS = 600.0
"""Of a server on a busy machine."""


def _accepts(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _serving(
    command: Sequence[str], environment: Mapping[str, str], port: int, *, what: str
) -> Iterator[None]:
    """Run a server on this port while the block runs."""
    with subprocess.Popen(
        tie_to_parent(command, signal.SIGKILL, launch.SELF),
        env={**os.environ, **environment},
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.DEVNULL,
    ) as server:
        try:
            until(lambda: _accepts(port), within=START_SECONDS, what=what)
            yield
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def object_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the server, and its directory, in which a directory is a bucket."""
    data, port = tmp_path_factory.mktemp("buckets"), free_port()
    program = Path(sys.executable).with_name("nanio")
    command = [str(program), "serve", "--data-dir", str(data), "--host", "127.0.0.1"]
    quiet = ["--port", str(port), "--no-access-log", "--log-level", "error"]
    credentials = {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    with _serving([*command, *quiet], credentials, port, what="the S3 server"):
        yield f"http://127.0.0.1:{port}", data


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


@pytest.fixture(scope="session")
def azure_storage() -> Iterator[str]:
    """The address of an account in a server with the API of Azure Blob Storage."""
    port = free_port()
    place = ["--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    quiet = ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
    accounts = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{ACCOUNT_KEY}"}
    command = [*azure_server(), *place, *quiet]
    with _serving(command, accounts, port, what="the Azure server"):
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"


@pytest.fixture
def container(azure_storage: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a container; the environment has the credentials for it."""
    name = f"container-{new_id()}"
    _create_container(azure_storage, name)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azure_storage)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY)
    return f"az://{name}/perdure/artifacts"


def _create_container(address: str, name: str) -> None:
    """Send the request with a signature by the account's key, which `obstore` can't do."""
    sent = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    headers = "".join(f"{header}:{value}\n" for header, value in sent.items())
    resource = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
    signed = "PUT" + 12 * "\n" + headers + resource
    key = base64.b64decode(ACCOUNT_KEY)
    signature = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).decode()
    response = httpx2.put(
        f"{address}/{name}",
        params={"restype": "container"},
        headers={**sent, "Authorization": f"SharedKey {ACCOUNT}:{signature}"},
        timeout=START_SECONDS,
    )
    assert response.is_success, response.text


def make_private_key() -> str:
    """A key for the tokens of a service account, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@pytest.fixture(scope="session")
def google_storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of the server, and a directory with the key of the account and the buckets."""
    place, port = tmp_path_factory.mktemp("google"), free_port()
    (place / "buckets").mkdir()
    private_key = make_private_key()
    account = {
        "type": "service_account",
        "client_email": "tests@perdure.iam.gserviceaccount.com",
        "private_key_id": "1",
        "private_key": private_key,
    }
    (place / "account.json").write_text(json.dumps(account))
    key = serialization.load_pem_private_key(private_key.encode(), None)
    public_key = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    serve = ["-m", "uvicorn", "--factory", "tests.google_storage:create_app", "--port", str(port)]
    environment = {
        google_server.DATA: str(place / "buckets"),
        google_server.PUBLIC_KEY: public_key.decode(),
    }
    command = [sys.executable, *serve, "--log-level", "error"]
    with _serving(command, environment, port, what="the Google server"):
        yield f"http://127.0.0.1:{port}", place


@pytest.fixture
def google_bucket(google_storage: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty place in a bucket; the environment has the credentials for it."""
    address, place = google_storage
    name = f"bucket-{new_id()}"
    (place / "buckets" / name).mkdir()
    monkeypatch.setenv("GOOGLE_BASE_URL", address)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(place / "account.json"))
    return f"gs://{name}/perdure/artifacts"
