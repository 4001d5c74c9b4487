"""One sandboxed command makes all attempts of `commands.py`; the allowed host is then reached."""

import json
from pathlib import Path

from tests.tools.conftest import SessionCalls
from tests.tools.hostile import commands
from tests.tools.hostile.traps import Traps


def is_strange(request: bytes, port: int) -> bool:
    """Whether what arrived at the allowed host was meant for another one."""
    line, _, headers = request.partition(b"\r\n")
    hosts = [h for h in headers.split(b"\r\n") if h.lower().startswith(b"host:")]
    is_fine = hosts == [b"Host: allowed.example:%d" % port] and b"smuggled" not in request
    return request != b"" and not (is_fine and line.endswith(b" HTTP/1.1"))


async def test_no_attempt_of_a_command_arrives(traps: Traps, calls: SessionCalls) -> None:
    ports = {"P": traps.allowed_port, "T": traps.trap_port, "O": traps.own_port}
    attempts = list(commands.attempts(traps.fill, ports))
    assert len(attempts) > 200
    (calls.workspace / "attempts.json").write_text(json.dumps(attempts))
    script = (Path(__file__).parent / "inside.py").read_text()
    (calls.workspace / "inside.py").write_text(script)
    output = await calls.bash("/usr/bin/python3 inside.py attempts.json results.txt")
    results = (calls.workspace / "results.txt").read_text()
    assert f"made {len(attempts)} attempts" in output
    assert traps.caught == [], results
    # A name is allowed while it has the address of the allowed host: the first time.
    first_time = [commands.GET.encode()]
    assert [r for r in traps.requests if is_strange(r, traps.allowed_port)] == first_time, results
    reached = await calls.bash(f"curl -s http://allowed.example:{traps.allowed_port}/")
    assert reached == "welcome!\n[exit code 0]"
