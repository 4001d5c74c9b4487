"""The official conformance suite, on the client of workers (`conformance_client.py`)."""

import sys
from pathlib import Path

import pytest

from tests.api.mcp.test_conformance import run
from tests.node import node_tool

CLIENT = f"{sys.executable} -m tests.mcp_client.conformance_client"
EXPECTED = Path(__file__).with_name("expected_failures.yaml")

TIMEOUT_MS = 200_000
"""Of one scenario: the suite starts all of them at once."""


async def conform(results: Path, *options: str) -> None:
    """Run scenarios; fail unless all pass, except the expected failures."""
    code, output = await run(
        *node_tool("@modelcontextprotocol/conformance"),
        *("client", "--command", CLIENT),
        *("--timeout", str(TIMEOUT_MS)),
        *("--output-dir", str(results)),
        *options,
    )
    assert code == 0, output[-5000:]


@pytest.mark.parametrize("scenario", ["sep-2322-client-request-state", "http-custom-headers"])
async def test_the_client_conforms(scenario: str, tmp_path: Path) -> None:
    await conform(tmp_path, "--scenario", scenario)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_the_client_conforms_to_a_revision(revision: str, tmp_path: Path) -> None:
    await conform(tmp_path, "--requirements", revision, "--expected-failures", str(EXPECTED))
