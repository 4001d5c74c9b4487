"""Working directories of tasks: only directories that the operator lists."""

from collections.abc import Sequence
from pathlib import Path

SETTING = "PERDURE_WORKING_DIRECTORIES"


def problem(path: str, roots: Sequence[Path]) -> str | None:
    """Why a task may not work in `path`, with what to change; None if it may.

    Symbolic links are resolved if the path exists on this machine. The worker may be on another
    machine than the gateway, so it checks again before each use.
    """
    if not roots:
        return (
            f"Tasks may not use directories of this host; the operator can list some in {SETTING}."
        )
    if not Path(path).is_absolute() or ".." in Path(path).parts or "\0" in path:
        return "Write the absolute path of a directory, without '..'."
    try:
        resolved = Path(path).resolve()
        allowed = [root.resolve() for root in roots]
    except (OSError, RuntimeError, ValueError) as error:  # circular links, a name too long
        return f"The path can't be resolved: {error!s:.200}"
    if not any(resolved.is_relative_to(root) for root in allowed):
        listed = ", ".join(map(str, roots))
        return f"It is not below a directory in {SETTING}: {listed}."
    if resolved.exists() and not resolved.is_dir():
        return "This path is a file; name a directory."
    return None
