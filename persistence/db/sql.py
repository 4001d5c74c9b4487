"""Loads the SQL files beside the modules of this package.

A file holds named statements, each after a line `-- name: <name>`. `:parameter` is bound when the
statement runs; `$fragment` is SQL text that the loading module inserts once, when it is imported.
"""

import re
from collections.abc import Collection, Mapping
from importlib.resources import files
from string import Template

from sqlalchemy import TextClause, text

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COMMENT = re.compile(r"^--.*\n", re.MULTILINE)


def load(path: str, **fragments: str) -> Mapping[str, TextClause]:
    """The statements of `persistence/<path>` by name.

    Raises:
        KeyError: the file uses a fragment that is not given.
    """
    source = (files("persistence") / path).read_text(encoding="utf-8")
    _, *parts = _NAME.split(Template(source).substitute(fragments))
    return {
        name: text(_COMMENT.sub("", statement).strip())
        for name, statement in zip(parts[::2], parts[1::2], strict=True)
    }


def quote(words: Collection[str]) -> str:
    """Return words as SQL literals, sorted and separated by commas."""
    return ", ".join(f"'{word}'" for word in sorted(words))
