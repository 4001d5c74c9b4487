"""Claude's own memory tool (`memory_20250818`): its paths, edits and results.

The results are those of the SDK's implementation for directories
(`anthropic.lib.tools._beta_builtin_memory_tool`, 2.14.0), which the model is trained with.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from domain.errors import ToolInputError
from domain.memory.entries import key_problem

ROOT = "/memories"

MOST_FILES = 1_000
"""Of a directory that is listed, renamed or deleted (chosen: a model keeps some dozens)."""

_LISTED = 20
"""Most lines that a refusal names (chosen)."""

_DEPTH = 2
_NUMBER_WIDTH = 6
_UNITS = "BKMG"

Tree = dict[str, Any]
"""Names with the sizes of files and the trees of directories, whose names end in a slash."""


def parse_path(path: str) -> str:
    """Return the key of a path, empty for the directory of all files.

    Raises:
        ToolInputError: the path is outside that directory, or no key has this form.
    """
    below = path.removeprefix(ROOT)
    if not path.startswith(ROOT) or (below and not below.startswith("/")):
        raise ToolInputError(f"Path must start with {ROOT}, got: {path}")
    key = below.strip("/")
    if key and (problem := key_problem(key)) is not None:
        raise ToolInputError(f"The path {path} is invalid. {problem}")
    return key


def missing(path: str) -> ToolInputError:
    """The refusal of a path without an entry."""
    return ToolInputError(f"The path {path} does not exist. Please provide a valid path.")


def text_of(value: Any, path: str) -> str:
    """Return the text of a present value that is to be edited.

    Raises:
        ToolInputError: there is none, or it is no text.
    """
    if value is None:
        raise missing(path)
    if not isinstance(value, str):
        raise ToolInputError(f"{path} holds a JSON value, not text; change it with memory_update.")
    return value


def show_file(path: str, text: str, view_range: Sequence[int] | None, *, most_bytes: int) -> str:
    """Return the numbered lines of a file, or of a part of it (from 1; -1 is the last line).

    What exceeds `most_bytes` is left out, with how to continue.
    """
    lines = text.split("\n")
    first, last = view_range or (1, -1)
    first, last = max(first, 1), len(lines) if last == -1 else min(last, len(lines))
    shown: list[str] = []
    size = 0
    for number in range(first, last + 1):
        line = _number_line(number, lines[number - 1])
        size += len(line.encode("utf-8", "replace")) + 1
        if size > most_bytes and shown:
            rest = f"(… {len(lines)} lines in all. Continue with view_range [{number}, -1] …)"
            shown.append(rest)
            break
        shown.append(line[:most_bytes])
    return "\n".join([f"Here's the content of {path} with line numbers:", *shown])


def show_directory(path: str, files: Sequence[tuple[str, int]], *, is_cut: bool) -> str:
    """Return a directory two levels deep without hidden items; `files` are names with sizes."""
    tree: Tree = {}
    for name, size in files:
        *parents, last = name.split("/")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(f"{parent}/", {})
        branch[last] = size
    place = path.rstrip("/")
    levels = f"up to {_DEPTH} levels deep in {path}, excluding hidden items:"
    lines = [
        f"Here're the files and directories {levels}",
        f"{_format_size(_total(tree))}\t{path}",
        *(f"{_format_size(size)}\t{place}/{name}" for name, size in _walk(tree, "", _DEPTH)),
    ]
    if is_cut:
        lines.append(f"(… The first {MOST_FILES:,} files; view a directory for others …)")
    return "\n".join(lines)


def _walk(tree: Tree, above: str, depth: int) -> Iterator[tuple[str, int]]:
    for name, content in sorted(tree.items()):
        if name.startswith("."):
            continue
        yield f"{above}{name}", _total(content)
        if isinstance(content, dict) and depth > 1:
            yield from _walk(content, f"{above}{name}", depth - 1)


def _total(content: int | Tree) -> int:
    return content if isinstance(content, int) else sum(map(_total, content.values()))


def _format_size(size: int) -> str:
    unit = min(max(size.bit_length() - 1, 0) // 10, len(_UNITS) - 1)
    number = size / 1024**unit
    return f"{number:.0f}{_UNITS[unit]}" if number.is_integer() else f"{number:.1f}{_UNITS[unit]}"


def replace_text(text: str, call: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text with `old_str` replaced, and the result.

    Raises:
        ToolInputError: `old_str` is not in the text, or more than once.
    """
    path, old, new = call["path"], call["old_str"], call["new_str"]
    places = list(islice(_positions(text, old), _LISTED))
    if not places:
        raise ToolInputError(
            f"No replacement was performed, old_str `{old:.1000}` did not appear verbatim in "
            f"{path}."
        )
    if text.count(old) > 1:
        numbers = ", ".join(str(text.count("\n", 0, place) + 1) for place in places)
        raise ToolInputError(
            f"No replacement was performed. Multiple occurrences of old_str `{old:.1000}` in "
            f"lines: {numbers}. Please ensure it is unique"
        )
    changed = text.replace(old, new)
    lines, at = changed.split("\n"), text.count("\n", 0, places[0])
    shown = range(max(0, at - 2), min(len(lines), at + 3))
    snippet = "\n".join(_number_line(number + 1, lines[number]) for number in shown)
    return changed, (
        "The memory file has been edited. Here is the snippet showing the change (with line "
        f"numbers):\n{snippet}"
    )


def _positions(text: str, part: str) -> Iterator[int]:
    place = text.find(part)
    while place != -1:
        yield place
        place = text.find(part, place + 1)


def insert_text(text: str, call: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text with `insert_text` after the line `insert_line`, and the result.

    Raises:
        ToolInputError: the text does not have so many lines.
    """
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    at = call["insert_line"]
    if not 0 <= at <= len(lines):
        raise ToolInputError(
            f"Invalid `insert_line` parameter: {at}. It should be within the range "
            f"[0, {len(lines)}]."
        )
    lines.insert(at, call["insert_text"].rstrip("\n"))
    changed = "\n".join(lines)
    return changed.removesuffix("\n") + "\n", f"The file {call['path']} has been edited."


def _number_line(number: int, line: str) -> str:
    return f"{number:>{_NUMBER_WIDTH}}\t{line}"
