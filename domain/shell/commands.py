"""Reads a command line: which simple commands it runs, and whether it is only one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tree_sitter import Node

from domain.shell.grammar import NOT_PARSED, nodes, parse, text_of
from domain.shell.words import value_of
from domain.shell.wrapped import DYNAMIC, Words, unwrap

_BLANKS = re.compile(r"(?:[ \t]|\\\n)+")
_COMMANDS = frozenset({"command", "declaration_command", "unset_command"})
_WORDS = frozenset({"word", "string", "raw_string", "concatenation"})
_PLAIN = frozenset(
    {"command", "command_name", "word", "number", "string", "string_content", "raw_string"}
    | {"concatenation", '"'}
)
"""Nodes of one simple command."""
_CONTAINERS = frozenset({"program", "list", "redirected_statement", "variable_assignments"})

_SEQUENCES = frozenset({"list", "pipeline", "negated_command"})
"""Nodes whose last command a redirection after them belongs to."""

_CONSTRUCTS = {
    "pipeline": "a pipe",
    "file_redirect": "a redirection",
    "heredoc_redirect": "a here-document",
    "herestring_redirect": "a here-string",
    "command_substitution": "a command substitution",
    "process_substitution": "a process substitution",
    "arithmetic_expansion": "an arithmetic expansion",
    "simple_expansion": "a variable",
    "expansion": "a variable",
    "ansi_c_string": "an ANSI-C string",
    "brace_expression": "a brace expansion",
    "variable_assignment": "an assignment",
    "subshell": "a subshell",
    "compound_statement": "a group of commands",
    "negated_command": "a negation",
    "function_definition": "a function",
    "comment": "a comment",
    ";": "a semicolon",
    "&": "an ampersand",
    "&&": "a list of commands",
    "||": "a list of commands",
}
_SIGNS = frozenset(
    {"|", "|&", ">", ">>", "<", "&>", "&>>", ">&", "<&", ">|", "<<", "<<-", "<<<", "$(", "`"}
    | {"<(", ">(", "$((", "$[", "$", "${", "=", "+=", "(", "{", "!", ";", "&", "&&", "||"}
)
"""Tokens that show a reader which part of the line is meant."""

MAX_DEPTH = 5
"""Command lines in the arguments of commands, such as `bash -c '…'`, within each other."""

MAX_LINES = 200
"""Command lines in the arguments of one command line (chosen: 20 ms)."""


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command.

    `text` is its source with blanks joined. `words` are its program and arguments without quotes;
    a word that only the shell knows is None.
    """

    text: str
    words: Words


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line, taken apart.

    `commands` are all that it may run, also inside other constructs. `unclear` says why there may
    be more, as the end of a sentence. `simple` is its command if it is only that, and `construct`
    names what it is otherwise.
    """

    commands: tuple[Command, ...]
    unclear: str | None
    simple: Command | None
    construct: str | None


def join_blanks(text: str) -> str:
    """Replace each sequence of blanks and line continuations with one blank."""
    return _BLANKS.sub(" ", text).strip(" \n")


def read(text: str) -> CommandLine:
    """Take a command line apart."""
    nested = _NestedCommands()
    root, problem = parse(text.strip(" \t\n"))
    own, disorder = _commands_of(root)
    problem = problem or disorder
    nested.add(root, own, depth=0)
    simple = own[0] if problem is None and _is_simple(root) else None
    return CommandLine(
        commands=(*own, *nested.commands),
        unclear=problem or nested.unclear,
        simple=simple,
        construct=None if simple else _construct(root),
    )


class _NestedCommands:
    """Collects the commands in the arguments and in the quoted text of a command line."""

    def __init__(self) -> None:
        self.commands: list[Command] = []
        self.unclear: str | None = None
        self._lines = 0

    def add(self, root: Node, commands: Sequence[Command], *, depth: int) -> None:
        """Add what a command line contains, besides its own commands."""
        for node in nodes(root):
            if node.type in _WORDS and (line := _substitution_in(node)):
                self._add_line(line, depth=depth + 1, is_certain=False)
        pending, seen = [command.words for command in commands], set[Words]()
        while pending:
            wrapped = unwrap(pending.pop())
            self.unclear = self.unclear or wrapped.unclear
            new = [words for words in wrapped.commands if words not in seen]
            seen.update(new)
            pending += new
            self.commands += [Command(" ".join(filter(None, words)), words) for words in new]
            for line in wrapped.lines:
                self._add_line(line, depth=depth + 1, is_certain=True)
            for line in wrapped.maybe_lines:
                self._add_line(line, depth=depth + 1, is_certain=False)

    def _add_line(self, text: str, *, depth: int, is_certain: bool) -> None:
        """Add a command line; what is unclear in it matters only if it certainly is one."""
        self._lines += 1
        if depth > MAX_DEPTH or self._lines > MAX_LINES:
            self.unclear = self.unclear or "it contains too many other command lines"
            return
        root, problem = parse(text.strip(" \t\n"))
        commands, disorder = _commands_of(root)
        if is_certain:
            self.unclear = self.unclear or problem or disorder
        self.commands += commands
        self.add(root, commands, depth=depth)


def _substitution_in(node: Node) -> str | None:
    """Quoted text with a substitution, which some built-ins expand (`test -v 'a[$(rm x)]'`)."""
    source = node.text or b""
    return value_of(node) if b"$(" in source or b"`" in source else None


def _commands_of(root: Node) -> tuple[list[Command], str | None]:
    """The commands of a tree, and a problem if their words can't be separated."""
    commands: list[Command] = []
    problem = None
    late_words: dict[int, Sequence[Node]] = {}
    for node in nodes(root):
        if node.type == "redirected_statement":
            late_words |= _words_after_redirections(node)
        elif node.type in _COMMANDS:
            command, disorder = _command(node, late_words.pop(node.id, ()))
            commands.append(command)
            problem = problem or disorder
    return commands, NOT_PARSED if late_words else problem


def _is_simple(root: Node) -> bool:
    if len(root.children) != 1 or root.children[0].type != "command":
        return False
    return all(node.type in _PLAIN for node in nodes(root.children[0]))


def _construct(root: Node) -> str | None:
    """What makes the line more than a simple command: the first such part of the text."""
    for node in nodes(root):
        if node.type in _PLAIN | _CONTAINERS:
            continue
        name = _CONSTRUCTS.get(node.type)
        if name is None:
            return None if node.is_error else f"'{text_of(node).split(maxsplit=1)[0]}'"
        sign = next((c.type for c in _with_children(node) if c.type in _SIGNS), None)
        return f"{name} ('{sign}')" if sign else name
    return "a line break" if len(root.children) > 1 else None


def _with_children(node: Node) -> Sequence[Node]:
    return [node, *node.children]


def _command(node: Node, late_words: Sequence[Node]) -> tuple[Command, str | None]:
    parts = [*_own_words(node), *late_words]
    words = tuple(value_of(part) for part in parts)
    if node.type != "command":
        words = (text_of(parts[0]), *words[1:])
    problem = None
    if any(a.end_byte == b.start_byte for a, b in pairwise(parts)):
        problem = NOT_PARSED
    if not words or words[0] is None:
        problem = DYNAMIC
    return Command(join_blanks(text_of(node)), words), problem


def _own_words(node: Node) -> Iterator[Node]:
    if node.type == "command":
        name = node.child_by_field_name("name")
        yield from [name] if name is not None else []
        yield from node.children_by_field_name("argument")
    else:
        yield from node.children


def _words_after_redirections(statement: Node) -> dict[int, Sequence[Node]]:
    """More arguments of a command, by its id.

    In `sudo >f rm x`, the parser reads `rm x` as more files of the redirection.
    """
    words: list[Node] = []
    for redirect in statement.children_by_field_name("redirect"):
        words += redirect.children_by_field_name("destination")[1:]
        words += redirect.children_by_field_name("argument")
    if not words:
        return {}
    body = statement.child_by_field_name("body")
    while body is not None and body.type in _SEQUENCES:
        body = body.named_children[-1]
    return {body.id if body is not None else statement.id: words}
