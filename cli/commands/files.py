"""`perdure apply` and `perdure export`: tasks and agents in files."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import open_client
from cli.exits import Exit
from cli.terminal import show

if TYPE_CHECKING:
    from cli.definitions.applying import ApplyResult, Planned


@with_output
def apply(
    context: typer.Context,
    file: Annotated[
        list[Path],
        typer.Option(
            "--file",
            "-f",
            help="A directory, a file, or - for YAML on stdin. May be repeated.",
            exists=True,
            allow_dash=True,
        ),
    ],
    *,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would change or be refused; change nothing."),
    ] = False,
    output: str,
) -> None:
    """Create or update tasks and agents from files: YAML, JSON, or Markdown with front matter.

    A file defines all of a task: fields that it leaves out get their defaults. Tasks and agents
    that no file names stay as they are. Every file is read before anything is changed. Exit codes:
    0 done, 2 something is wrong or was refused, 3 the gateway did not answer.
    """
    from cli.definitions import applying, files
    from cli.terminal import show

    wanted = files.read_all(file)
    for definition in wanted:
        if definition.ignored:
            what = ", ".join(definition.ignored)
            show.err.print(f"{definition.source}: ignored {what}", style="dim")
    with open_client(context) as client:
        planned = applying.plan(client, wanted)
        carry_out = applying.rehearse if dry_run else applying.apply_all
        results: Iterable[ApplyResult] = carry_out(client, planned)
        if output == "table":  # each result as soon as it is known
            results = _print_results(results, len(planned), dry_run=dry_run)
        else:
            results = list(results)
            described = [_describe(result, dry_run=dry_run) for result in results]
            show.print_answer(described, output, _print_wide)
    raise typer.Exit(_choose_exit(results))


def export(
    context: typer.Context,
    name: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Tasks and agents. (default: all of yours)"),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A directory. (default: print them)")
    ] = None,
) -> None:
    """Write your tasks and agents to files that `perdure apply` reads."""
    from cli.definitions import applying, files, writing
    from cli.terminal import show

    with open_client(context) as client:
        found = [
            files.define_resource(kind, resource)
            for kind in files.KINDS.values()
            for resource in applying.list_own(client, kind)
            if not name or resource[kind.key] in name
        ]
    missing = set(name or ()) - {definition.key for definition in found}
    if missing:
        raise files.DefinitionError(f"There is no task or agent {', '.join(sorted(missing))}.")
    if output is None:
        show.out.print_text(writing.write_stream(found))
        return
    for path, text in writing.write_files(found):
        target = output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    show.out.print(f"{len(found)} written to {output}")


def _print_wide(described: Sequence[dict[str, str | None]]) -> None:
    show.print_items(described, "kind, key, change, file, refusal?", nothing="No files.")


def _describe(result: "ApplyResult", *, dry_run: bool) -> dict[str, str | None]:
    """One result for programs."""
    from cli.definitions.applying import ApplyOutcome

    planned = result.planned
    more = {"difference": planned.write_difference()} if dry_run else {"outcome": result.outcome}
    return {
        "kind": planned.wanted.kind.name,
        "key": planned.wanted.key,
        "file": planned.wanted.source,
        "change": planned.change,
        "refusal": result.reason if result.outcome is ApplyOutcome.REFUSED else None,
        **more,
    }


def _print_results(
    results: "Iterable[ApplyResult]", total: int, *, dry_run: bool
) -> "Sequence[ApplyResult]":
    """Print each change and each failure as it happens, then the numbers."""
    from cli.definitions.applying import ApplyOutcome, Change
    from cli.terminal.consoles import style_text

    verb = "checking" if dry_run else "applying"
    done = []
    with show.err.status(style_text(verb)) as status:
        for result in results:
            done.append(result)
            status.update(style_text(f"{verb} {len(done)} of {total}"))
            label = f"{result.planned.wanted.kind.name} {result.planned.wanted.key}"
            change = result.planned.change
            if dry_run and change is not Change.NOTHING:
                _print_difference(result.planned)
            if result.outcome is ApplyOutcome.REFUSED:
                show.err.print_line(("refused", "red"), f"  {label}: {result.reason or ''}")
            elif result.outcome is not ApplyOutcome.DONE:
                show.err.print_line((str(result.outcome), "red"), f"  {label}")
            elif change is not Change.NOTHING and not dry_run:
                show.out.print(f"{change}d  {label}")
    _print_counts(done, dry_run=dry_run)
    return done


def _print_difference(planned: "Planned") -> None:
    styles = {"+": "green", "-": "red", "@": "cyan"}
    for line in planned.write_difference().split("\n"):
        show.out.print_line((line, styles.get(line[:1], "")))


def _print_counts(results: "Sequence[ApplyResult]", *, dry_run: bool) -> None:
    from cli.definitions.applying import ApplyOutcome, Change

    changes = [one.planned.change for one in results if one.outcome is ApplyOutcome.DONE]
    counts = [
        f"{changes.count(change)} {'to ' if dry_run else ''}{change}{'' if dry_run else 'd'}"
        for change in (Change.CREATE, Change.UPDATE)
    ]
    counts.append(f"{changes.count(Change.NOTHING)} {Change.NOTHING}")
    failures = (ApplyOutcome.REFUSED, ApplyOutcome.UNKNOWN, ApplyOutcome.NOT_TRIED)
    outcomes = [result.outcome for result in results]
    counts += [f"{outcomes.count(o)} {o}" for o in failures if o in outcomes]
    show.out.print(", ".join(counts))


def _choose_exit(results: "Iterable[ApplyResult]") -> Exit:
    """The exit code; prints why the rest was not tried."""
    from cli.definitions.applying import ApplyOutcome

    outcomes = {result.outcome for result in results}
    if outcomes & {ApplyOutcome.UNKNOWN, ApplyOutcome.NOT_TRIED}:
        why = next(r.reason for r in results if r.outcome is not ApplyOutcome.REFUSED and r.reason)
        show.err.print(why)
        show.err.print("When it is back, apply again: what is done stays as it is.")
        return Exit.UNREACHABLE
    return Exit.USAGE if ApplyOutcome.REFUSED in outcomes else Exit.DONE
