"""Check that code and documents use plain English: list each banned word with a suggestion.

    python scripts/check_language.py               the whole tree, as `make check` does
    python scripts/check_language.py PATH...       these files and folders
    python scripts/check_language.py --count .     only the number of hits for each folder

Identifiers are split at underscores and capital letters, so `doorPolicy` and `door_policy` both
contain "door", and `keyring` does not contain "ring". A phrase may continue on the next line.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

BANNED = {
    # Metaphors, and people where there are machines.
    r"told|tells?|telling": "send, report, describe, distinguish",
    r"said|unsaid|saying": "send, report, specify",
    r"heard|hears?|hearing": "receive, poll, read",
    r"rings?|rang|rung|ringing": "wake, signal",
    r"bells?": "wake-up signal, wake channel",
    r"ears?": "receiver, listener",
    r"doors?": "endpoint, host policy",
    r"strangers?": "another user, foreign",
    r"story|stories": "timeline, events",
    r"chapters?": "page, timeline page",
    r"companions?": "background task",
    r"wish|wishes|wished": "request",
    r"unborn": "not started",
    r"homeless": "orphaned",
    r"doomed": "will fail; cascade",
    r"upkeep": "reconciler, maintenance",
    r"mend|mends|mended|mending": "fix, repair",
    r"stands?(?! for\b|-in\b|-alone\b)|stood|standing": "is, is stored, appears; status",
    r"lies?|lying|lain": "is, is stored",
    r"let go|lets go|letting go": "release",
    r"(?:began|begins?|begun|beginning) again": "restart, start again",
    r"(?:go|goes|going|gone|went) on": "continue",
    r"(?:lives?|lived|living) on": "remain, persist",
    r"speaks? (?:of|for)|spoken of": "mention, apply to",
    r"(?:become|becomes|became) of": "happen to",
    r"(?:is|are|was|were|be|been|being) cut": "be interrupted, be truncated",
    r"(?:is|are|was|were|be|been|being) away": "be unavailable",
    r"in hand": "current, in progress",
    # Subjects and nouns that hide who does what.
    r"nobody": "no user, no process, nothing",
    r"somebody|anybody|everybody": "a user, a person, any user, everyone",
    r"whoever|whomever|whosoever": "the user who, the process that",
    r"none (?:is|are|was|were|has|have|had|can|may|will|must|does|do)": "no X is, no X has",
    r"none of (?:the|its|their|them|these|those|us|our|it)": "no, neither",
    r"(?:is|are) none of": "is not one of",
    r"what ha[sd]|that which": "name the thing: the execution that has",
    r"mine": "own, current, the caller's",
    # Idioms.
    r"in vain": "without effect",
    r"of (?:no|any) use": "has no effect",
    r"(?:may|can|is|are|to|was|were)(?: be)? had": "be available, be acquired",
    r"for ever": "forever, indefinitely",
    # Names that were renamed.
    r"hot reads": "cached reads",
    r"openings|endings": "lifecycle",
    r"resumption": "snapshot",
    r"(?:async )?def (?:again|asked|mine|moved|once|wanted|knowing|beside)(?=\()": "verb and noun",
    r"(?:asked|moved) as|as (?:asked|moved)": "new_tool_calls, updated_tool_calls",
}  # fmt: skip

ALLOWED = {
    r"tell_model": "a value of `on_unknown_effect` on the wire",
    r"is_cut": "a field of notifications on the wire",
    r"--mine\b": "an option of the command line",
    r"(?<=[`\"_])nobody(?![a-z])|\bNOBODY\b": "the system user",
    r"ring buffer": "a data structure",
}
"""Regular expressions for banned words in their technical meaning, with the reason."""

EXCLUDED = {
    "scripts/check_language.py": "contains the list",
    "tests/architecture/test_language.py": "tests the list",
    "api/web/static": "not our text",
    "LICENSE": "not our text",
    "site": "generated",
}
"""Paths that are not checked, with the reason. Names that begin with a dot are skipped too."""

SUFFIXES = {
    "", ".cfg", ".css", ".example", ".html", ".ini", ".j2", ".js", ".mako", ".md", ".py", ".sh",
    ".sql", ".toml", ".typ", ".yaml", ".yml",
}  # fmt: skip

_WORD_START = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_PYTHON_NONE = re.compile(r"\bNone\b(?! of (?:the|its|their|them|these|those)\b)")
_GAP = r"""[\s"'#]+"""
_RULES = [
    (re.compile(rf"\b(?:{words.replace(' ', _GAP)})(?!\w)"), suggestion)
    for words, suggestion in BANNED.items()
]
_ALLOWED = re.compile("|".join(ALLOWED), re.IGNORECASE)


class Hit(NamedTuple):
    """A banned word in a file; line 0 is the file's own name."""

    path: str
    line: int
    word: str
    suggestion: str

    def __str__(self) -> str:
        """`file:line: word -> suggestion`."""
        return f"{self.path}:{self.line}: {self.word} -> {self.suggestion}"


def check(text: str, path: str) -> list[Hit]:
    """The banned words of a text, in order."""
    plain = _PYTHON_NONE.sub("null", _ALLOWED.sub("", text))
    plain = _WORD_START.sub(" ", plain).replace("_", " ").lower()
    return sorted(
        Hit(
            path,
            plain.count("\n", 0, found.start()) + 1,
            " ".join(re.findall(r"\w+", found[0])),
            suggestion,
        )
        for rule, suggestion in _RULES
        for found in rule.finditer(plain)
    )


def check_file(path: Path) -> list[Hit]:
    """The banned words of a file and of its name."""
    name = path.relative_to(ROOT).as_posix()
    in_name = [hit._replace(line=0) for hit in check(path.name, name)]
    if path.suffix not in SUFFIXES:
        return in_name
    return in_name + check(path.read_text("utf-8"), name)


def files(path: Path) -> Iterator[Path]:
    """Every file to check there."""
    name = path.relative_to(ROOT).as_posix()
    if name in EXCLUDED or path.name == "__pycache__":
        return
    if path.is_file():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if not entry.name.startswith(".") or entry.name == ".ci":
            yield from files(entry)


def main(arguments: list[str]) -> int:
    """Print the hits; returns 1 if there are any."""
    is_counting = "--count" in arguments
    paths = [Path(argument).resolve() for argument in arguments if argument != "--count"]
    checked = [f for p in paths or [ROOT] for f in files(p)]
    hits = [hit for file in checked for hit in check_file(file)]
    if is_counting:
        folders = Counter(hit.path.rpartition("/")[0] or "." for hit in hits)
        lines = [f"{count:6} {folder}" for folder, count in folders.most_common()]
    else:
        lines = [str(hit) for hit in hits]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.write(f"{len(hits)} banned words in {len(checked)} files\n")
    return min(len(hits), 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
