"""What a script is, and where a request carries one.

A script is a YAML list of turns, in a fenced block of the user's prompt (or of the system prompt):

    ```script
    - text: Let me look.
      tool_use: {name: bash, input: {command: ls}}
    - text: "It printed {last_tool_result}"
    ```

`~~~script` works too; a block ends at a fence of the same indentation, so a prompt inside a tool
input may carry a script of its own. A prompt with a line `script: NAME` names `NAME.yaml` in the
server's folder of scripts.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    TypeAdapter,
    ValidationError,
    field_validator,
)

_OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})script[ \t]*$", re.MULTILINE)
_NAME = re.compile(r"^[ \t]*script:[ \t]*(?P<name>\w[\w-]*)[ \t]*$", re.MULTILINE)


class ScriptError(Exception):
    """The script can't be read; the sentence says where and why."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolUse(_Part):
    """One tool call. `raw_input` is sent as it stands, to play malformed JSON."""

    name: str
    input: Mapping[str, Any] = Field(default_factory=dict)
    raw_input: str | None = None


class ApiError(_Part):
    """An error answer; with `after_events` it comes inside a stream that began well.

    With `times: n` only the first n requests for this turn get it (counted in memory per
    conversation), then the turn is played; without it, every request does.
    """

    status: int = 500
    type: str = "api_error"
    message: str = "The script asked for this error."
    code: str | None = None
    retry_after: str | float | None = None
    retry_after_ms: str | float | None = None
    after_events: int | None = None
    times: PositiveInt | None = None


class Cut(_Part):
    """The connection is dropped after so much of the answer; `times` as in an error."""

    after_bytes: int | None = None
    after_events: int | None = None
    times: PositiveInt | None = None


class Turn(_Part):
    """One answer of the model, or `repeat` alike ones in a row.

    `{turn}` (its number) and `{last_tool_result}` are filled in, in texts and in tool inputs.
    `delay_ms` passes before the first byte, `chunk_delay_ms` after each event. A turn with a `gate`
    is not answered until a test has opened the gate of that name (`ScriptedModelServer.open_gate`
    or `POST /gates/NAME`).
    `usage` and `headers` replace single values. Without a `stop_reason` the content decides.
    `size` appends so many bytes of filler to the text; `blocks` are sent as they stand, after the
    thinking and before the text; `raw` (and `status`) replace the whole answer.
    """

    text: str | None = None
    size: int = 0
    thinking: str | None = None
    tool_use: Sequence[ToolUse] = ()
    blocks: Sequence[Mapping[str, Any]] = ()
    stop_reason: str | None = None
    stop_details: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] = Field(default_factory=dict)
    headers: Mapping[str, str] = Field(default_factory=dict)
    error: ApiError | None = None
    cut: Cut | None = None
    delay_ms: float = 0
    chunk_delay_ms: float = 0
    gate: str | None = None
    raw: str | bytes | None = None
    status: int = 200
    repeat: PositiveInt = 1

    @field_validator("tool_use", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, Mapping) else value

    @property
    def ends_with(self) -> str:
        """The stop reason: the one written, else what the content suggests."""
        return self.stop_reason or ("tool_use" if self.tool_use else "end_turn")


Script = tuple[Turn, ...]
_TURNS = TypeAdapter(Script)


@lru_cache(maxsize=4096)  # a long conversation asks for the same script at every call
def parse(source: str) -> Script:
    """The turns of a script, `repeat` written out.

    Raises:
        ScriptError: it is no YAML, or no list of turns.
    """
    try:
        turns = _TURNS.validate_python(yaml.safe_load(source) or [])
    except (yaml.YAMLError, ValidationError) as error:
        raise ScriptError(f"The script doesn't parse: {error}") from error
    return tuple(turn for turn in turns for _ in range(turn.repeat))


@lru_cache(maxsize=4096)
def find_fenced(text: str) -> str | None:
    """The source of the first script block in `text`, without its indentation; else None."""
    opening = _OPENING.search(text)
    if opening is None:
        return None
    fence = opening["fence"]
    closing = re.compile(
        rf"^{opening['indent']}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE
    ).search(text, opening.end())
    return textwrap.dedent(text[opening.end() : closing.start() if closing else len(text)])


def find_named(text: str, folder: Path | None) -> str | None:
    """The source of the script that `text` names in `folder`; else None.

    Raises:
        ScriptError: a folder is given and has no such script.
    """
    named = _NAME.search(text) if folder else None
    if named is None or folder is None:
        return None
    path = folder / f"{named['name']}.yaml"
    if not path.is_file():
        raise ScriptError(f"There is no script {named['name']!r} in the folder of scripts.")
    return path.read_text(encoding="utf-8")


def find(text: str, folder: Path | None) -> Script | None:
    """The script that a prompt carries or names; a carried one goes first."""
    source = find_fenced(text) or find_named(text, folder)
    return None if source is None else parse(source)
