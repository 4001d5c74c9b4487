"""The format of scripts, and where a request contains one.

A script is a YAML list of turns, in a fenced block of the user's prompt (or of the system prompt):

    ```script
    - text: Let me look.
      tool_use: {name: bash, input: {command: ls}}
    - text: "It printed {last_tool_result}"
    ```

`~~~script` works too. A block ends at a fence with the same indentation, so that a prompt within a
tool input can contain another script. A prompt with a line `script: NAME` uses `NAME.yaml` in the
server's folder of scripts. A prompt without either uses the first `*.script.yaml` in or below that
folder, by path, whose `when` is in the prompt:

    when: Write the nightly report.
    turns:
    - text: There is nothing to report.
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
    """The script can't be read; the message contains the position and the reason."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolUse(_Part):
    """A tool call. `raw_input` is sent unchanged, to simulate malformed JSON."""

    name: str
    input: Mapping[str, Any] = Field(default_factory=dict)
    raw_input: str | None = None


class ApiError(_Part):
    """An error answer; with `after_events`, an error event within a stream.

    With `times: n` only the first n requests for this turn fail (counted in memory for each
    conversation); without it, all do.
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
    """Drops the connection after this much of the answer; `times` as in an error."""

    after_bytes: int | None = None
    after_events: int | None = None
    times: PositiveInt | None = None


class Turn(_Part):
    """One answer of the model, or `repeat` equal ones in a row.

    `{turn}` (its number) and `{last_tool_result}` are replaced in texts and tool inputs.
    `delay_ms` passes before the first byte, `chunk_delay_ms` after each event. A turn with a `gate`
    is not answered until a test has opened the gate of that name (`ScriptedModelServer.open_gate`
    or `POST /gates/NAME`).
    `usage` and `headers` replace single values. Without a `stop_reason` the content decides.
    `size` appends this many bytes of filler to the text; `blocks` are sent unchanged, after the
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
        """The stop reason: the given one, or the one that fits the content."""
        return self.stop_reason or ("tool_use" if self.tool_use else "end_turn")


Script = tuple[Turn, ...]
_TURNS = TypeAdapter(Script)


class Matched(_Part):
    """A script for the prompts that contain the text `when`."""

    when: str = Field(min_length=1)
    turns: Script


@lru_cache(maxsize=4096)  # each call of a long conversation uses the same script
def parse(source: str) -> Script:
    """Parse a script into its turns, with repeated turns expanded.

    Raises:
        ScriptError: it is not YAML, or not a list of turns.
    """
    try:
        turns = _TURNS.validate_python(yaml.safe_load(source) or [])
    except (yaml.YAMLError, ValidationError) as error:
        raise ScriptError(f"The script doesn't parse: {error}") from error
    return _repeat_turns(turns)


def _repeat_turns(turns: Script) -> Script:
    return tuple(turn for turn in turns for _ in range(turn.repeat))


@lru_cache(maxsize=4096)
def find_fenced(text: str) -> str | None:
    """The source of the first script block in `text`, without its indentation, or None."""
    opening = _OPENING.search(text)
    if opening is None:
        return None
    fence = opening["fence"]
    closing = re.compile(
        rf"^{opening['indent']}{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$", re.MULTILINE
    ).search(text, opening.end())
    return textwrap.dedent(text[opening.end() : closing.start() if closing else len(text)])


def find_named(text: str, folder: Path | None) -> str | None:
    """The source of the script in `folder` that `text` names, or None.

    Raises:
        ScriptError: the folder has no such script.
    """
    named = _NAME.search(text) if folder else None
    if named is None or folder is None:
        return None
    path = folder / f"{named['name']}.yaml"
    if not path.is_file():
        raise ScriptError(f"There is no script {named['name']!r} in the folder of scripts.")
    return path.read_text(encoding="utf-8")


def find_matching(text: str, folder: Path | None) -> Script | None:
    """The turns of the first script in or below `folder` whose `when` is in `text`, or None.

    Raises:
        ScriptError: a script of the folder can't be read.
    """
    for path in sorted(folder.rglob("*.script.yaml")) if folder else ():
        matched = _read_matched(path.read_text(encoding="utf-8"))
        if matched.when in text:
            return _repeat_turns(matched.turns)
    return None


@lru_cache(maxsize=4096)
def _read_matched(source: str) -> Matched:
    try:
        return Matched.model_validate(yaml.safe_load(source))
    except (yaml.YAMLError, ValidationError) as error:
        raise ScriptError(f"The script doesn't parse: {error}") from error


def find(text: str, folder: Path | None) -> Script | None:
    """The script that a prompt contains, names or matches; in this order."""
    source = find_fenced(text) or find_named(text, folder)
    return find_matching(text, folder) if source is None else parse(source)
