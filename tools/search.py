"""Searches files of a workspace with `grep`, in the sandbox because of bad patterns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.errors import ToolInputError
from tools.limits import MIB
from tools.output import Spool, decode, encode
from tools.paths import Workspace, place_of

SPOOL_BYTES = MIB
"""Stored output of one search: more than is shown."""

_SHOWN_LINES = 200
_LINE_BYTES = 500
"""How much of a matching line is shown (chosen: minified files have lines of megabytes)."""

_NO_MATCH = 1


def grep(workspace: Workspace, tool_input: Mapping[str, Any]) -> Sequence[str]:
    """Make the search command. Blocking: it resolves the path.

    Raises:
        ToolInputError: the path does not exist, or the pattern can't be an argument.
    """
    if b"\0" in encode(tool_input["pattern"] + tool_input.get("glob", "")):
        raise ToolInputError("The pattern and the glob can't contain NUL.")
    with place_of(workspace, tool_input.get("path", ".")) as place:
        if place.status() is None:
            raise ToolInputError(f"There is no {place.path} in the workspace.")
        where = [] if place.path == "." else [place.path]
    # At most as many lines per file as are shown in all; FIFOs and devices would block.
    argv = ["grep", "-rHnIPsZ", f"-m{_SHOWN_LINES}", "-Dskip", "--exclude-dir=.git"]
    if tool_input.get("ignore_case", False):
        argv.append("-i")
    if "glob" in tool_input:
        argv.append(f"--include={tool_input['glob']}")
    return [*argv, "-e", tool_input["pattern"], "--", *where]


def format_matches(spool: Spool, exit_code: int, workspace: Workspace) -> str:
    """Format the matches for the model, without files that a rule restricts. Blocking.

    Raises:
        ToolInputError: the pattern is not valid.
    """
    with spool.path.open("rb") as file:
        lines = file.read(SPOOL_BYTES).removesuffix(b"\n").split(b"\n")
    if exit_code > _NO_MATCH and lines[0].startswith(b"grep: "):
        raise ToolInputError(f"The search failed: {decode(lines[0][:_LINE_BYTES])}")
    lines = list(_visible(lines, workspace))
    if not lines:
        return "(no matches)"
    shown = [decode(line[:_LINE_BYTES]) for line in lines[:_SHOWN_LINES]]
    if len(lines) > _SHOWN_LINES:
        shown.append(f"(… more than {_SHOWN_LINES} matches; narrow the pattern, path or glob)")
    return "\n".join(shown)


def _visible(lines: Sequence[bytes], workspace: Workspace) -> Iterator[bytes]:
    """The lines of files that no rule restricts; a NUL ends the path in each line of `grep`."""
    for line in lines:
        path, end, match = line.partition(b"\0")
        if line and not (end and workspace.hides(decode(path))):
            yield path + b":" + match if end else line
