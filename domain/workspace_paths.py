"""How a path that the model writes is read: one reading for the rules and for the tools."""

WORKSPACE = "/workspace"
"""Where the model sees its workspace."""


def relative_path(path: str) -> str | None:
    """The path below the workspace, without a leading slash; `.` is the workspace itself.

    `/workspace/a//b`, `./a/b` and `a/b` are the same. None for what can't be meant: an absolute
    path elsewhere, any `..`, a NUL. Symbolic links are the tools' business.
    """
    if not path or "\0" in path:
        return None
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/"):
        if parts[:1] != [WORKSPACE.removeprefix("/")]:
            return None
        del parts[0]
    return None if ".." in parts else "/".join(parts) or "."
