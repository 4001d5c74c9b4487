"""Answers of models and proxies that differ from the Messages API: one file each.

A file has the `body` of the answer, its `status` and `content_type` if they are not those of a
stream, and what is expected of it. The same streams run against the adapter (`tests/claude`) and
against the loop (`tests/agent`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Expected:
    """What follows: a text, tool calls, or a failure of the execution."""

    text: str | None = None
    calls: Sequence[str] = ()
    failed_calls: int = 0
    continues: bool = False
    """Whether the model is asked to continue."""
    error_code: str | None = None
    error_kind: str | None = None
    """The kind of failure of the model call; None if it returned a message."""
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class OddStream:
    """One file."""

    name: str
    what: str
    body: str
    expect: Expected
    status: int = 200
    content_type: str = "text/event-stream"

    @property
    def turn(self) -> Mapping[str, Any]:
        """The turn of a script that answers with it."""
        headers = {"content-type": self.content_type}
        return {"raw": self.body, "status": self.status, "headers": headers}


def _load(path: Path) -> OddStream:
    fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    return OddStream(**fields | {"name": path.stem, "expect": Expected(**fields["expect"])})


ODD_STREAMS = [_load(path) for path in sorted(Path(__file__).parent.glob("*.yaml"))]
