"""Commands of `perdure` in this process, with captured output and exit code."""

import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from typer.testing import CliRunner

from cli.exits import run_to_code
from cli.main import app


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command printed, and its exit code."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        """All that it printed."""
        return self.stdout + self.stderr


def invoke(*arguments: str, typed: str | None = None, **environment: str) -> Invocation:
    """Run a command to its end, as `perdure` does in a process of its own.

    `typed` is its stdin. The environment has no PERDURE_* and ANTHROPIC_* variables but these.
    """
    removed = {name: None for name in os.environ if name.startswith(("PERDURE_", "ANTHROPIC_"))}
    with CliRunner().isolation(input=typed, env={**removed, **environment}) as (out, err, _):
        code = run_to_code(lambda: app(list(arguments), prog_name="perdure"))
        assert isinstance(code, int | None), code
        sys.stdout.flush()
        sys.stderr.flush()
        return Invocation(code or 0, out.getvalue().decode(), err.getvalue().decode())


def parse_json(result: Invocation) -> Any:
    """The JSON that a command printed."""
    assert result.stdout, result.stderr
    return json.loads(result.stdout)
