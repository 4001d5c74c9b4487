"""Parts whose settings are missing or wrong say what to set."""

import asyncio
import os
from pathlib import Path

import pytest

import worker
from cli import gateway
from cli.configuration import load_settings
from cli.exits import CommandError
from cli.stack.addresses import free_port
from runtime.settings import Settings
from tests.stack import perdure

DATABASE = {"PERDURE_DATABASE_URL": "postgresql://x@127.0.0.1/x"}


@pytest.mark.parametrize("part", ["worker", "api", "migrate"])
def test_a_part_without_settings_says_what_to_set(tmp_path: Path, part: str) -> None:
    result = perdure(tmp_path, part)
    assert result.returncode == 2
    assert "PERDURE_DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("missing", ["PERDURE_DATABASE_URL", "PERDURE_TEMPORAL_ADDRESS"])
def test_a_worker_without_its_servers_says_what_to_check(
    tmp_path: Path, database_url: str, temporal_address: str, missing: str
) -> None:
    closed = f"127.0.0.1:{free_port()}"
    given = {"PERDURE_DATABASE_URL": database_url, "PERDURE_TEMPORAL_ADDRESS": temporal_address}
    is_database = missing == "PERDURE_DATABASE_URL"
    given[missing] = f"postgresql://x@{closed}/x" if is_database else closed
    result = perdure(tmp_path, "worker", **given)
    assert result.returncode == 1
    assert missing in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("sandbox", ["auto", "bubblewrap"])
async def test_a_worker_refuses_a_home_that_commands_could_read(sandbox: str) -> None:
    given = {"home": "/usr/local/perdure", "database_url": "postgresql://x@127.0.0.1/x"}
    settings = Settings.model_validate({**given, "sandbox": sandbox})
    with pytest.raises(SystemExit, match="PERDURE_HOME"):
        await worker.serve(settings, asyncio.Event(), is_scripted=False)


def test_a_gateway_with_unsound_settings_says_so(tmp_path: Path) -> None:
    result = perdure(tmp_path, "api", **DATABASE)
    assert result.returncode == 2
    assert "PERDURE_JWT_SECRET" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"PERDURE_JWKS_URL": "https://login.example.com/keys"}, "PERDURE_JWT_ISSUER"),
        ({"PERDURE_JWT_SECRET": "x" * 32, "PERDURE_CORS_ORIGINS": "*"}, "PERDURE_CORS_ORIGINS"),
        ({"PERDURE_JWT_SECRET": "too-short"}, "PERDURE_JWT_SECRET"),
        ({"PERDURE_JWT_SECRET": ""}, "PERDURE_JWT_SECRET"),
        ({"PERDURE_RATE_LIMIT": "many"}, "PERDURE_RATE_LIMIT"),
    ],
)
def test_a_gateway_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], named: str
) -> None:
    """In this process: the test above shows what a process does with the error."""
    for name in [name for name in os.environ if name.startswith("PERDURE_")]:
        monkeypatch.delenv(name)
    for name, value in {**DATABASE, **given}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CommandError, match=named) as refused:
        gateway.serve(load_settings())
    assert refused.value.exit == 2
