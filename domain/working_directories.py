"""Directories of the machine that tasks may work in: only those that the operator lists."""

from collections.abc import Sequence
from pathlib import Path

SETTING = "PERDURE_WORKING_DIRECTORIES"


def problem(path: str, roots: Sequence[Path]) -> str | None:
    """Why a task may not work in `path`, as a sentence that says what to change; None if it may.

    Symbolic links are resolved on both sides, as far as there is something at the path here: the
    gateway may stand on another machine than the worker, so the worker asks again at run time.
    """
    if not roots:
        return f"No directory is open to tasks here; the operator lists some in {SETTING}."
    if not Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        return "Write the absolute path of a directory, without '..'."
    try:
        resolved = Path(path).resolve()
        allowed = [root.resolve() for root in roots]
    except (OSError, RuntimeError, ValueError) as error:  # a ring of links, a name too long
        return f"The path can't be followed: {error!s:.200}"
    if not any(resolved.is_relative_to(root) for root in allowed):
        listed = ", ".join(map(str, roots))
        return f"It is below none of the directories that {SETTING} lists: {listed}."
    if resolved.exists() and not resolved.is_dir():
        return "There is a file at this path; name a directory."
    return None
