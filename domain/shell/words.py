"""The value of a word of a command line, as far as it is known before the command runs."""

import re
from collections.abc import Callable, Mapping

from tree_sitter import Node

from domain.shell.grammar import text_of

_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED_IN_STRING = re.compile(r"\\([$`\"\\])")
_EXPANDED = re.compile(r"[*?\[\]{}]|^~")
"""Unquoted characters that may make another word, or several, from this one."""


def value_of(node: Node) -> str | None:
    """The word after quotes and escapes, or None if expansions decide about it."""
    read = _READERS.get(node.type)
    return read(node) if read else None


def _name(node: Node) -> str | None:
    return value_of(node.children[0]) if len(node.children) == 1 else None


def _number(node: Node) -> str | None:
    return None if node.children else text_of(node)


def _ansi_c(node: Node) -> str | None:
    content = text_of(node)[2:-1]
    return None if "\\" in content else content


def _plain(node: Node) -> str | None:
    text = text_of(node)
    if _EXPANDED.search(_ESCAPED.sub("x", text)):
        return None
    return _ESCAPED.sub(r"\1", text)


def _string(node: Node) -> str | None:
    """Only the quotes and literal text; the value is what the quotes contain."""
    if any(child.is_named and child.type != "string_content" for child in node.children):
        return None
    return _ESCAPED_IN_STRING.sub(r"\1", text_of(node).removeprefix("$")[1:-1])


def _join_parts(node: Node) -> str | None:
    # `{` and `,` of a brace expansion are parts of their own.
    values = [value_of(part) for part in node.children]
    return None if None in values else "".join(value for value in values if value is not None)


_READERS: Mapping[str, Callable[[Node], str | None]] = {
    "command_name": _name,
    "word": _plain,
    "number": _number,
    "variable_name": text_of,
    "raw_string": lambda node: text_of(node)[1:-1],
    "ansi_c_string": _ansi_c,
    "string": _string,
    "concatenation": _join_parts,
}
