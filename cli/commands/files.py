"""`perdure apply` and `perdure export`: tasks and agents kept as files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson
from cli.exits import Exit

if TYPE_CHECKING:
    from cli.applying import Planned, Result


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
        bool,
        typer.Option("--dry-run", help="Show what would change or be refused; change nothing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make tasks and agents what files say: YAML, JSON, or Markdown with front matter.

    A file says all of a task: what it leaves out goes back to its default. What no file names is
    left alone. Every file is read before anything is changed. Exit codes: 0 done, 2 something is
    wrong or was refused, 3 the gateway did not answer.
    """
    from cli import applying, definitions, show

    wanted = definitions.read_all(file)
    for definition in wanted:
        if definition.ignored:
            what = ", ".join(definition.ignored)
            show.err.print(f"{definition.source}: passed over {what}", style="dim", markup=False)
    with gateway_of(context) as gateway:
        planned = applying.plan(gateway, wanted)
        ask = applying.rehearse if dry_run else applying.carry_out
        results: Iterable[Result] = ask(gateway, planned)
        if as_json:
            results = list(results)
            show.as_json([_line(result, dry_run=dry_run) for result in results])
        else:
            results = _tell(results, len(planned), dry_run=dry_run)
    raise typer.Exit(_exit_of(results))


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


def _line(result: "Result", *, dry_run: bool) -> dict[str, str | None]:
    """One definition for programs."""
    from cli.applying import Outcome

    planned = result.planned
    more = {"difference": planned.difference()} if dry_run else {"outcome": result.outcome}
    return {
        "kind": planned.wanted.kind.name,
        "key": planned.wanted.key,
        "file": planned.wanted.source,
        "change": planned.change,
        "refusal": result.reason if result.outcome is Outcome.REFUSED else None,
        **more,
    }


def _tell(results: "Iterable[Result]", total: int, *, dry_run: bool) -> "Sequence[Result]":
    """Name each change and each failure as it comes, then count."""
    from rich.markup import escape

    from cli import show
    from cli.applying import Change, Outcome

    doing = "asking about" if dry_run else "applying"
    told = []
    with show.err.status(doing) as status:
        for result in results:
            told.append(result)
            status.update(f"{doing} {len(told)} of {total}")
            label = escape(f"{result.planned.wanted.kind.name} {result.planned.wanted.key}")
            change = result.planned.change
            if dry_run and change is not Change.NOTHING:
                _show_difference(result.planned)
            if result.outcome is Outcome.REFUSED:
                show.err.print(f"[red]refused[/]  {label}: {escape(result.reason or '')}")
            elif result.outcome is not Outcome.DONE:
                show.err.print(f"[red]{result.outcome}[/]  {label}")
            elif change is not Change.NOTHING and not dry_run:
                show.out.print(f"{change}d  {label}")
    _count(told, dry_run=dry_run)
    return told


def _show_difference(planned: "Planned") -> None:
    from rich.syntax import Syntax

    from cli import show

    shown = Syntax(planned.difference(), "diff", background_color="default", word_wrap=True)
    show.out.print(shown)


def _count(told: "Sequence[Result]", *, dry_run: bool) -> None:
    from cli import show
    from cli.applying import Change, Outcome

    done = [result.planned.change for result in told if result.outcome is Outcome.DONE]
    counts = [
        f"{done.count(change)} to {change}" if dry_run else f"{done.count(change)} {change}d"
        for change in (Change.CREATE, Change.UPDATE)
    ]
    counts.append(f"{done.count(Change.NOTHING)} {Change.NOTHING}")
    failures = (Outcome.REFUSED, Outcome.UNKNOWN, Outcome.NOT_TRIED)
    outcomes = [result.outcome for result in told]
    counts += [f"{outcomes.count(o)} {o}" for o in failures if o in outcomes]
    show.out.print(", ".join(counts))


def _exit_of(results: "Iterable[Result]") -> Exit:
    """The exit code; what kept the rest from being tried is said last."""
    from cli import show
    from cli.applying import Outcome

    outcomes = {result.outcome for result in results}
    if outcomes & {Outcome.UNKNOWN, Outcome.NOT_TRIED}:
        why = next(r.reason for r in results if r.outcome is not Outcome.REFUSED and r.reason)
        show.err.print(why, markup=False)
        show.err.print("When it is back, apply again: what is done is left as it is.")
        return Exit.UNREACHABLE
    return Exit.USAGE if Outcome.REFUSED in outcomes else Exit.DONE
