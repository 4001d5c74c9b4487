"""Parses a command line, and finds the places in which the parser may disagree with bash.

The grammar is `tree-sitter-bash`. It is more permissive than bash, and reads some rare forms in
another way. A line with such a form has a problem: rules that restrict then apply to it.
"""

import re
from collections.abc import Iterator

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

_LANGUAGE = Language(tree_sitter_bash.language())

MAX_CHARACTERS = 50_000
"""Longer command lines are not parsed (measured: the worst of this length takes 0.4 s)."""

_ODD_CHARACTER = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ud800-\udfff]"
)
"""Characters that bash and the parser may read in different ways: controls, blanks, surrogates."""

_RENAMING = re.compile(r"BASH_(?:ALIASES|CMDS)")
_CONTINUATION = re.compile(r"(?<!\\)(?:\\\\)*\\\n")
_SPECIAL = re.compile(rb"\\.|`|\$\(|\$\[|[<>]\(", re.DOTALL)
_UNQUOTED_OPERATOR = re.compile(rb"[;|&<>()\s`'\"$]")
_ESCAPE = re.compile(rb"\\.", re.DOTALL)

_LITERAL = frozenset({"raw_string", "ansi_c_string", "comment"})
_COMMENT_PARENTS = frozenset(
    {
        "program",
        "compound_statement",
        "subshell",
        "command_substitution",
        "do_group",
        "if_statement",
        "elif_clause",
        "else_clause",
        "case_statement",
        "case_item",
    }
)
"""Where a `#` begins a comment in bash too."""

NOT_PARSED = "it is not a form of shell syntax that can be checked"


def parse(text: str) -> tuple[Node, str | None]:
    """The syntax tree, and why it can't be trusted, as the end of a sentence, or None."""
    if problem := _text_problem(text):
        return _tree(b""), problem
    source = text.encode()
    root = _tree(source)
    return root, NOT_PARSED if root.has_error else _tree_problem(root, source)


def nodes(root: Node) -> Iterator[Node]:
    """All nodes, each before its children, in the order of the text."""
    return (node for node, _ in _nodes_with_parents(root))


def _nodes_with_parents(root: Node) -> Iterator[tuple[Node, str]]:
    """All nodes with the types of their parents; `Node.parent` searches from the root."""
    left = [(root, "")]
    while left:
        node, parent = left.pop()
        yield node, parent
        left.extend((child, node.type) for child in reversed(node.children))


def text_of(node: Node) -> str:
    """The source of a node."""
    return (node.text or b"").decode()


def is_quoted_heredoc(start: Node) -> bool:
    """Whether nothing is expanded in the here-document with this delimiter."""
    return any(quote in (start.text or b"") for quote in b"'\"\\")


def _tree(source: bytes) -> Node:
    return Parser(_LANGUAGE).parse(source).root_node


def _text_problem(text: str) -> str | None:
    if len(text) > MAX_CHARACTERS:
        return f"it is longer than {MAX_CHARACTERS:,} characters"
    if found := _ODD_CHARACTER.search(text):
        return f"it contains the character U+{ord(found[0]):04X}"
    if found := _RENAMING.search(text):
        return f"it may change {found[0]}, which gives programs other names"
    for found in _CONTINUATION.finditer(text):
        start, end = found.span()
        before, after = text[max(start - 1, 0) : start] or " ", text[end : end + 1] or " "
        if before == "\n":
            return "a line consists of a backslash only"
        if not after.isspace() and not (before.isspace() and found[0] == "\\\n"):
            return "a backslash at the end of a line joins two parts of a word"
    return None


def _tree_problem(root: Node, source: bytes) -> str | None:
    literal: list[Node] = []
    words: list[Node] = []
    accounted: set[int] = set()
    for node, parent in _nodes_with_parents(root):
        if problem := _node_problem(node, parent, source):
            return problem
        if node.type in _LITERAL:
            literal.append(node)
        elif node.type in ("string_content", "heredoc_content"):
            words.append(node)
        elif node.type == "heredoc_redirect":
            literal.extend(_literal_bodies(node))
        elif node.type in ("command_substitution", "process_substitution", "arithmetic_expansion"):
            accounted |= {node.start_byte, node.end_byte - 1}
    return _find_unaccounted(source, literal, words, accounted)


def _node_problem(node: Node, parent: str, source: bytes) -> str | None:
    match node.type:
        case "comment":
            return _comment_problem(node, parent, source)
        case "heredoc_redirect":
            return _heredoc_problem(node, source)
        case "word" if _UNQUOTED_OPERATOR.search(_ESCAPE.sub(b"x", node.text or b"")):
            return NOT_PARSED
        case "expansion" if re.search(rb"['\"\\]|@P\}", node.text or b""):
            return "it contains quotes or an operator in '${…}'"
        case "command_substitution" if node.text and node.text[:1] == b"`" and b"\\" in node.text:
            return "it contains a backslash between backticks"
        case _:
            return None


def _comment_problem(node: Node, parent: str, source: bytes) -> str | None:
    """A `#` inside a word is none for bash, nor one in arithmetic or a list of values."""
    start = node.start_byte
    before, escape = source[start - 1 : start], source[start - 2 : start - 1] if start > 1 else b""
    begins = before in (b"", b"\n") or (before in b" \t;&|()" and escape != b"\\")
    if begins and parent in _COMMENT_PARENTS:
        return None
    return "it contains a '#' that may not begin a comment"


def _heredoc_problem(node: Node, source: bytes) -> str | None:
    problem = "it contains a here-document whose end is unclear"
    parts = {child.type: child for child in node.children}
    start, body, end = (parts.get(f"heredoc_{part}") for part in ("start", "body", "end"))
    if start is None or body is None or end is None:
        return problem
    delimiter = re.sub(rb"['\"\\]", b"", start.text or b"")
    strips_tabs = "<<-" in parts
    first_line = source.find(b"\n", start.end_byte) + 1
    last_line = source[end.start_byte :].split(b"\n", 1)[0]
    # With a newline on both sides, so that each line is compared as a whole.
    lines = source[first_line : end.start_byte].split(b"\n")
    if strips_tabs:
        lines = [line.lstrip(b"\t") for line in lines]
    begins_late = b"<<" in source[start.end_byte : first_line].replace(b"<<<", b"")
    joined = not is_quoted_heredoc(start) and b"\\\n" in (body.text or b"")
    if last_line != delimiter or delimiter in lines or begins_late or joined:
        return problem
    return None if first_line > start.end_byte else problem


def _literal_bodies(heredoc: Node) -> Iterator[Node]:
    start = next((c for c in heredoc.children if c.type == "heredoc_start"), None)
    if start is not None and is_quoted_heredoc(start):
        yield from (c for c in heredoc.children if c.type == "heredoc_body")


def _find_unaccounted(
    source: bytes, literal: list[Node], words: list[Node], accounted: set[int]
) -> str | None:
    """Each sequence that starts a substitution must be one in the tree, too."""
    masked = bytearray(source)
    for node in literal:
        masked[node.start_byte : node.end_byte] = b"x" * (node.end_byte - node.start_byte)
    for node in words:
        plain = (node.text or b"").replace(b"<(", b"xx").replace(b">(", b"xx")
        masked[node.start_byte : node.end_byte] = plain
    for found in _SPECIAL.finditer(masked):
        if found[0][:1] != b"\\" and found.start() not in accounted:
            return f"it contains '{found[0].decode()}' in a place where its effect is unclear"
    return None
