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
from persistence.db.migrate import DatabaseUnavailableError
from runtime.settings import Settings
from runtime.temporal import TemporalUnavailableError
from tests.stack import perdure

DATABASE = {"PERDURE_DATABASE_URL": "postgresql://x@127.0.0.1/x"}


def test_a_worker_without_settings_says_what_to_set(tmp_path: Path) -> None:
    result = perdure(tmp_path, "worker")
    assert result.returncode == 2
    assert "PERDURE_DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("missing", "error"),
    [("database_url", DatabaseUnavailableError), ("temporal_address", TemporalUnavailableError)],
)
async def test_a_worker_without_its_servers_says_what_to_check(
    tmp_path: Path, database_url: str, temporal_address: str, missing: str, error: type[Exception]
) -> None:
    """In this process: `test_parts.py` shows what a process does with the error."""
    closed = f"127.0.0.1:{free_port()}"
    given = {"database_url": database_url, "temporal_address": temporal_address}
    given[missing] = f"postgresql://x@{closed}/x" if missing == "database_url" else closed
    settings = Settings.model_validate({**given, "home": tmp_path, "sandbox": "none"})
    with pytest.raises(error, match=f"PERDURE_{missing.upper()}"):
        await worker.serve(settings, asyncio.Event(), is_scripted=False)


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
        ({"PERDURE_DATABASE_URL": ""}, "PERDURE_DATABASE_URL"),
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
