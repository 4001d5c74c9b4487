"""The npm packages are installed as their lock file names them."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.packages import NODE
from tests.node import node_tool


def test_a_server_starts_from_the_installed_packages() -> None:
    argv = node_tool("@modelcontextprotocol/server-memory")
    assert argv[0] == str(NODE)
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "tests", "version": "1"},
        },
    }
    done = subprocess.run(
        argv, input=json.dumps(request) + "\n", capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "memory-server"


@pytest.mark.parametrize("folder", [".", "azure"])
def test_the_lock_file_names_no_registry(folder: str) -> None:
    lock = json.loads((Path(__file__).parent / folder / "package-lock.json").read_text())
    assert all("resolved" not in package for package in lock["packages"].values())
