"""Log lines as a collector sees them."""

import json
import subprocess
import sys

import pytest

SPEAKS = """
import logging, structlog, sys
from runtime.telemetry import set_up_logging
set_up_logging("info", sys.argv[1])
structlog.contextvars.bind_contextvars(execution_id="e1")
structlog.get_logger("perdure.worker").info("step done", turn=3)
logging.getLogger("uvicorn.error").info("chatter")
logging.getLogger("mcp.client.streamable_http").error("what a server sent")
logging.getLogger("client").error("what a tool returned")
logging.getLogger("temporalio.worker").warning("poll %s", "failed")
structlog.get_logger("perdure.worker").debug("not this")
canary = "sk-" + "canary"
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("perdure").exception("broken")
"""


def lines(log_format: str) -> list[str]:
    result = subprocess.run(
        [sys.executable, "-c", SPEAKS, log_format], capture_output=True, text=True, check=True
    )
    assert result.stdout == ""
    return result.stderr.splitlines()


def test_away_from_a_terminal_every_line_is_json_with_its_context() -> None:
    done, poll, broken = (json.loads(line) for line in lines("auto"))
    assert done["event"] == "step done"
    assert done["turn"] == 3
    assert done["level"] == "info"
    assert done["at"].endswith("Z")
    assert poll["event"] == "poll failed"
    assert poll["logger"] == "temporalio.worker"
    assert {line["execution_id"] for line in (done, poll, broken)} == {"e1"}
    assert broken["exception"][0]["exc_type"] == "ZeroDivisionError"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_local_variable(log_format: str) -> None:
    assert "canary" not in "".join(lines(log_format)).replace('"sk-" + "canary"', "")


def test_people_get_readable_lines() -> None:
    assert any("step done" in line and "turn" in line for line in lines("console"))
