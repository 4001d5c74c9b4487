"""Finds the commands in the arguments of a command, such as `sudo`, `bash -c` and `eval`."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Words = tuple[str | None, ...]
"""A program and its arguments; None for a word that only the shell knows."""

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "rbash", "fish"})
SOURCES = frozenset({"source", "."})
"""Run the commands of a file in the same shell."""

EVALUATORS = frozenset({"eval", "trap", "alias"})
"""Read their arguments as command lines."""

WRAPPERS = frozenset(
    {"exec", "command", "builtin", "time", "coproc", "jobs", "fc", "hash", "enable", "complete"}
    | {"compgen", "mapfile", "readarray"}
    | {"env", "nohup", "nice", "ionice", "timeout", "setsid", "stdbuf", "unbuffer", "chrt"}
    | {"taskset", "xargs", "parallel", "find", "fd", "sudo", "doas", "su", "runuser", "setpriv"}
    | {"chroot", "unshare", "nsenter", "flock", "watch", "script", "strace", "ltrace", "busybox"}
    | {"toybox", "start-stop-daemon", "systemd-run", "fakeroot", "pkexec", "entr", "valgrind"}
    | {"perf", "xvfb-run", "dbus-run-session", "gtime"}
)
"""Programs and built-ins whose arguments may be another command, and its arguments."""

_APPENDING = frozenset({"xargs", "parallel"})
"""Wrappers that append arguments from their input."""

MAX_STARTS = 100
"""Longest argument list of a wrapper that is searched (chosen: a few ms)."""

_FIND_COMMANDS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_READS_TEXT = re.compile(r"[-+][A-Za-z]*c[A-Za-z]*")
_READS_INPUT = re.compile(r"-[A-Za-z]*s[A-Za-z]*")
_LINE = re.compile(r"[\s;`]|\$\(")
_WITH_VALUE = frozenset({"-o", "+o", "-O", "+O", "--rcfile", "--init-file"})
_SKIPPED = re.compile(r"[-+].*|[A-Za-z_]\w*=.*|[0-9.:]+[smhd]?|0x[0-9a-fA-F]+|[{}!]")
"""Options, assignments and numbers: not the name of a program."""
_WITHOUT_VALUE = re.compile(r"--[^=]+=.*|-[A-Za-z]\d+|-[0irtx]+|--(?:null|no-run-if-empty)|--?")
"""Options whose value is not the next word; all others may have one."""

DYNAMIC = "the name of a program is only known when it runs"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """What a command runs.

    `lines` are command lines; `maybe_lines` may be, and count only if they can be parsed. `unclear`
    says why there may be more.
    """

    commands: Sequence[Words] = ()
    lines: Sequence[str] = ()
    maybe_lines: Sequence[str] = ()
    unclear: str | None = None


def unwrap(words: Words) -> Wrapped:
    """The commands in the arguments of a command."""
    name, arguments = program_of(words), words[1:]
    if name in SOURCES and arguments:
        return Wrapped(unclear=f"'{name}' runs a file; run its commands directly")
    if name in SHELLS:
        return _unwrap_shell(name, arguments)
    if name in EVALUATORS:
        return _unwrap_evaluator(name, arguments)
    return _unwrap_wrapper(name, arguments) if name in WRAPPERS else Wrapped()


def program_of(words: Words) -> str:
    """The name of the program without its directory; empty if only the shell knows it."""
    return ((words and words[0]) or "").rpartition("/")[2]


def _unwrap_shell(name: str, arguments: Words) -> Wrapped:
    known = [word for word in arguments if word is not None]
    if any(_READS_TEXT.fullmatch(word) for word in known):
        if None in arguments:
            return Wrapped(unclear=f"the commands that '{name}' runs are only known when it runs")
        return Wrapped(lines=[word for word in known if not word.startswith("-")])
    operands = list(_operands(arguments))
    script = operands[0] if operands else None
    if script is None or script.startswith(("/dev/", "/proc/")) or _reads_input(known):
        return Wrapped(unclear=f"'{name}' reads its commands from its input; use -c")
    return Wrapped()


def _reads_input(words: Sequence[str]) -> bool:
    return any(_READS_INPUT.fullmatch(word) for word in words)


def _operands(arguments: Words) -> Iterator[str | None]:
    previous: str | None = ""
    for word in arguments:
        if word is None or not (word.startswith(("-", "+")) or previous in _WITH_VALUE):
            yield word
        previous = word


def _unwrap_evaluator(name: str, arguments: Words) -> Wrapped:
    known = [word for word in arguments if word is not None]
    if len(known) < len(arguments):
        return Wrapped(unclear=f"the commands that '{name}' runs are only known when it runs")
    match name:
        case "eval":
            return Wrapped(lines=[" ".join(known)])
        case "alias":
            return Wrapped(lines=[word.partition("=")[2] for word in known])
        case _:
            return Wrapped(lines=[word for word in known if not word.startswith("-")][:1])


def _unwrap_wrapper(name: str, arguments: Words) -> Wrapped:
    if name in _APPENDING:
        arguments = (*_with_input(arguments), *([] if arguments[-1:] == (None,) else [None]))
    starts = _starts(name, arguments)
    if len(starts) > MAX_STARTS:
        return Wrapped(unclear=f"'{name}' has more than {MAX_STARTS} arguments")
    return Wrapped(
        commands=[arguments[i:] for i in starts if arguments[i] is not None],
        maybe_lines=list(_lines_in(arguments)),
        unclear=DYNAMIC if _is_dynamic([arguments[i] for i in starts]) else None,
    )


def _lines_in(arguments: Words) -> Iterator[str]:
    """Arguments that look like command lines, also behind an option (`-Srm x`, `--run=rm x`)."""
    for word in arguments:
        if word is not None and _LINE.search(word):
            yield word
            if word.startswith("-"):
                yield from (word[2:], word.partition("=")[2])


def _with_input(arguments: Words) -> Iterator[str | None]:
    """The arguments of `xargs`; those that contain the text of `-I` are read from its input."""
    marks = [after for word, after in pairwise(arguments) if word == "-I" and after]
    marks += [word[2:] for word in arguments if word and word.startswith("-I") and word != "-I"]
    for word in arguments:
        is_read = word is not None and any(mark in word for mark in ("{}", *marks))
        yield None if is_read and word not in marks else word


def _starts(name: str, arguments: Words) -> Sequence[int]:
    """Where a command may begin: at every word, because options may have values."""
    if name == "find":
        return [i + 1 for i, word in enumerate(arguments[:-1]) if word in _FIND_COMMANDS]
    return range(len(arguments))


def _is_dynamic(words: Sequence[str | None]) -> bool:
    """Whether a word that only the shell knows may be the program, because no word before is."""
    previous = ""
    for word in words:
        if word is None:
            return True
        has_value = previous.startswith("-") and not _WITHOUT_VALUE.fullmatch(previous)
        if not has_value and not _SKIPPED.fullmatch(word):
            return False
        previous = word
    return False
