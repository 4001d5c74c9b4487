"""`perdure apply` and `perdure export`: tasks and agents kept as files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson
from cli.exits import Exit

if TYPE_CHECKING:
    from cli.applying import Change, Planned, Result


def add_to(app: typer.Typer) -> None:
    """Put these commands into the application."""
    app.command()(apply)
    app.command()(export)


def apply(
    context: typer.Context,
    file: Annotated[
        list[Path],
        typer.Option("--file", "-f", help="A directory, or a file. May be repeated.", exists=True),
    ],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make tasks and agents what files say: YAML, JSON, or Markdown with front matter.

    A file says all of a task: what it leaves out goes back to its default. What no file names is
    left alone. Every file is read before anything is changed.
    """
    from cli import applying, definitions, show

    wanted = definitions.read_all(file)
    for definition in wanted:
        if definition.ignored:
            what = ", ".join(definition.ignored)
            show.err.print(f"{definition.source}: passed over {what}", style="dim", markup=False)
    with gateway_of(context) as gateway:
        planned = applying.plan(gateway, wanted)
        if dry_run:
            _show_plan(planned, as_json=as_json)
            return
        if as_json:
            results: Sequence[Result] = list(applying.carry_out(gateway, planned))
            show.as_json([_line(r.planned, r.refusal) for r in results])
        else:
            results = _tell(applying.carry_out(gateway, planned), len(planned))
    if any(result.refusal for result in results):
        raise typer.Exit(Exit.USAGE)


def export(
    context: typer.Context,
    name: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Tasks and agents; all of mine.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A directory. (default: print them)")
    ] = None,
) -> None:
    """Write my tasks and agents as files that `perdure apply` reads."""
    from cli import applying, definitions, show

    with gateway_of(context) as gateway:
        found = [
            definitions.of_resource(kind, resource)
            for kind in definitions.KINDS.values()
            for resource in applying.mine(gateway, kind)
            if not name or resource[kind.key] in name
        ]
    missing = set(name or ()) - {definition.key for definition in found}
    if missing:
        raise definitions.DefinitionError(
            f"There is no task or agent {', '.join(sorted(missing))}."
        )
    if output is None:
        print(definitions.as_stream(found), end="")  # noqa: T201 - for files
        return
    for path, text in definitions.as_files(found):
        target = output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    show.out.print(f"{len(found)} written below {output}")


def _line(planned: "Planned", refusal: str | None = None) -> dict[str, str | None]:
    """One definition for programs."""
    return {
        "kind": planned.wanted.kind.name,
        "key": planned.wanted.key,
        "file": planned.wanted.source,
        "change": planned.change,
        "refusal": refusal,
    }


def _show_plan(planned: "Sequence[Planned]", *, as_json: bool) -> None:
    from rich.syntax import Syntax

    from cli import show
    from cli.applying import Change

    if as_json:
        show.as_json([{**_line(p), "difference": p.difference()} for p in planned])
        return
    for one in planned:
        if one.change is not Change.NOTHING:
            shown = Syntax(one.difference(), "diff", background_color="default", word_wrap=True)
            show.out.print(shown)
    _count([one.change for one in planned], "to ")


def _tell(results: "Iterator[Result]", total: int) -> "Sequence[Result]":
    """Name each change and refusal as it comes, then count."""
    from rich.markup import escape

    from cli import show
    from cli.applying import Change

    told = []
    with show.err.status("applying") as status:
        for result in results:
            told.append(result)
            status.update(f"applying {len(told)} of {total}")
            wanted, change = result.planned.wanted, result.planned.change
            label = escape(f"{wanted.kind.name} {wanted.key}")
            if result.refusal:
                show.err.print(f"[red]refused[/]  {label}: {escape(result.refusal)}")
            elif change is not Change.NOTHING:
                show.out.print(f"{change}d  {label}")
    refused = sum(result.refusal is not None for result in told)
    _count([r.planned.change for r in told if r.refusal is None], "", refused)
    return told


def _count(changes: "Sequence[Change]", prefix: str, refused: int = 0) -> None:
    from cli import show
    from cli.applying import Change

    counts = [f"{changes.count(change)} {prefix}{change}" for change in Change]
    counts += [f"{refused} refused"] if refused else []
    show.out.print(", ".join(counts).replace("to unchanged", "unchanged"))
