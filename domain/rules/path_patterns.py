"""Patterns for paths of a workspace, in the form that the paths have (`domain.workspaces.paths`).

`*` stands for any characters, also slashes; `**/` also for no directory.
"""

from collections.abc import Iterator

from domain.rules.text_patterns import matches_wildcards
from domain.workspaces.paths import WORKSPACE


def normalise_pattern(pattern: str) -> str | None:
    """The pattern below the workspace, or None if no path can match it.

    `./a`, `/workspace/a` and `a` are equal; a slash at the end is kept.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    if pattern.startswith("/"):
        if parts[:1] != [WORKSPACE.removeprefix("/")]:
            return None
        del parts[0]
    if ".." in parts or "\0" in pattern or not pattern.strip():
        return None
    end = "/" if parts and pattern.endswith("/") else ""
    return ("/".join(parts) or ".") + end


def permits_path(pattern: str, path: str) -> bool:
    """Whether a pattern that allows covers the path; `src/` is everything below `src`."""
    normal = normalise_pattern(pattern)
    if normal is None:
        return False
    return _matches(f"{normal}*" if normal.endswith("/") else normal, path)


def restricts_path(pattern: str, path: str, *, is_directory: bool) -> bool:
    """Whether a pattern that restricts covers the path.

    `a` also covers what is below `a`, and `*/a` also `a`. A tool that reads a directory is covered
    by a rule for what is in it.
    """
    normal = normalise_pattern(pattern)
    return normal is not None and any(
        _matches(variant, path)
        for variant in _restricting(normal.rstrip("/"), is_directory=is_directory)
    )


def _restricting(pattern: str, *, is_directory: bool) -> Iterator[str]:
    if pattern == ".":
        yield "*"
        return
    *parts, last = pattern.split("/")
    anywhere = "/".join([*("**" if part == "*" else part for part in parts), last])
    yield from (anywhere, f"{anywhere}/*")
    if is_directory and parts and not last.strip("*"):
        yield "/".join("**" if part == "*" else part for part in parts)


def _matches(pattern: str, path: str) -> bool:
    """Slashes are doubled, so that both sides of `**/` can use the same one."""
    parts = pattern.split("/")
    kept = [
        p for p, after in zip(parts, [*parts[1:], ""], strict=True) if p != "**" or after != "**"
    ]
    doubled = ("//" + "//".join(kept)).replace("//**//", "/*/")
    return matches_wildcards(doubled, "//" + path.replace("/", "//"))
