"""`perdure memory`: read, write, search, share, export and import memory entries."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import Reference, id_argument, open_client
from cli.arguments.values import ArgumentError, parse_json
from cli.command_groups.resources import NOTHING, CommandGroup, Json, TableView, argument, option
from cli.exits import CommandError
from cli.terminal import show
from domain.text import as_text

if TYPE_CHECKING:
    from cli.connection.client import Client

IMPORTED = 100
"""Entries in one request of an import (chosen: takes a second)."""

IMPORTED_CHARACTERS = 4_000_000
"""Of the entries in one request as JSON, unless it is one (chosen: below the default limit of a
request's body)."""

Namespace = Annotated[str, typer.Argument(metavar="NAMESPACE")]
Key = Annotated[str, typer.Argument(metavar="KEY")]
Owner = Annotated[str | None, typer.Option(help="The user who granted you the namespace.")]

ENTRY = Reference({"namespace": Namespace, "key": Key})
GROUP = CommandGroup("memory", "Knowledge that outlives executions.", ENTRY)

OWNER = option("The user who granted you the namespace.", "--owner")
COLUMNS = "namespace, key, type: memory_type, version, value, changed: updated_at"

GROUP.add_list(
    "list_memory",
    "List your entries, newest first, or search them.",
    TableView(
        COLUMNS,
        nothing="No entries. `perdure memory put NAMESPACE KEY VALUE` writes one.",
        computed={"value": lambda entry: as_text(entry["value"])},
    ),
    options={
        "q": argument("[WORDS]", "Entries with these words, best first.", str | None, None),
        "namespace_prefix": option("A namespace, with those below it.", "--namespace", "-n"),
        "type": option("semantic, episodic or procedural.", "--type"),
        "owner": OWNER,
    },
    limit=50,
)


@GROUP.app.command("get")
@with_output
def get_entry(
    context: typer.Context,
    namespace: Namespace,
    key: Key,
    *,
    version: Annotated[int | None, typer.Option(min=1, help="As it was in this version.")] = None,
    owner: Owner = None,
    output: str,
) -> None:
    """Print the value of an entry: text as it is, other values as JSON."""
    with open_client(context) as client:
        entry = client.call(
            "get_memory", namespace=namespace, key=key, version=version, owner=owner
        )
    show.print_answer(entry, output, _print_value)


def _print_value(entry: Json) -> None:
    if isinstance(entry["value"], str):
        show.out.print(entry["value"])
    else:
        show.print_json(entry["value"])


@GROUP.app.command("put")
@with_output
def put_entry(
    context: typer.Context,
    namespace: Namespace,
    key: Key,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="Text, or @FILE (@- is stdin).")],
    *,
    is_json: Annotated[bool, typer.Option("--value-json", help="VALUE is JSON.")] = False,
    memory_type: Annotated[
        str | None, typer.Option("--type", help="semantic, episodic or procedural.")
    ] = None,
    owner: Owner = None,
    output: str,
) -> None:
    """Write an entry as its next version."""
    from cli.definitions.files import read_text

    text = read_text(Path(value[1:])) if value.startswith("@") else value
    content = parse_json(text, "With --value-json, VALUE is JSON") if is_json else text
    body = {"value": content, **({"memory_type": memory_type} if memory_type else {})}
    with open_client(context) as client:
        entry = client.call("put_memory", body, namespace=namespace, key=key, owner=owner)
    show.print_answer(entry, output, _print_written)


def _print_written(entry: Json) -> None:
    show.out.print(f"{entry['namespace']} {entry['key']}: version {entry['version']}")


GROUP.add_list(
    "list_memory_versions",
    "List the versions of an entry, oldest first.",
    TableView(
        "version, type: memory_type, value, by: created_by?, at: created_at",
        nothing="The entry has no versions.",
        computed={"value": lambda v: "(deleted)" if v["is_deletion"] else as_text(v["value"])},
    ),
    name="history",
    of=ENTRY,
    options={"owner": OWNER},
)


@GROUP.app.command("delete")
def delete_entry(
    context: typer.Context,
    namespace: Namespace,
    key: Key,
    *,
    purge: Annotated[bool, typer.Option("--purge", help="Delete all its versions, too.")] = False,
    owner: Owner = None,
) -> None:
    """Delete an entry; its versions stay readable."""
    with open_client(context) as client:
        client.call("delete_memory", namespace=namespace, key=key, owner=owner, purge=purge)
    show.out.print(f"Deleted: {namespace} {key}")


@GROUP.app.command("export")
def export_entries(
    context: typer.Context,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Only this one and those below it.")
    ] = None,
) -> None:
    """Print your entries, one line of JSON for each, as `import` reads them."""
    fields = ("namespace", "key", "memory_type", "value", "created_by", "expires_at")
    with open_client(context) as client:
        for entry in client.iterate("list_memory", namespace_prefix=namespace):
            print(json.dumps({name: entry[name] for name in fields}))  # noqa: T201 - for programs


@GROUP.app.command("import")
def import_entries(
    context: typer.Context,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `export` printed; - is stdin.")
    ],
) -> None:
    """Write entries from a file; those with the same content do not change."""
    from cli.definitions.files import read_text

    lines = enumerate(read_text(file).split("\n"), 1)
    items = {f"{file}:{at}": line for at, line in lines if line.strip()}
    entries = [(place, _parse_line(line, place)) for place, line in items.items()]
    done, counts = 0, Counter[str]()
    with open_client(context) as client:
        for batch in _batches(entries):
            try:
                counts.update(_import_batch(client, batch))
            except CommandError:
                if done:
                    show.err.print(
                        f"The {done:,} entries before {batch[0][0]} are imported. Import the file "
                        "again to continue: they do not change."
                    )
                raise
            done += len(batch)
    expired = f", {counts['expired']:,} had expired and are left out" if counts["expired"] else ""
    noun = "entry" if done == 1 else "entries"
    show.out.print(f"{done:,} {noun}, {counts['created']:,} of them new{expired}")


def _import_batch(client: "Client", batch: Sequence[tuple[str, Json]]) -> Mapping[str, int]:
    """Import entries, each with its file and line; return the counts of the response."""
    from cli.connection.client import RefusedError

    try:
        counts: Mapping[str, int] = client.call(
            "import_memory", {"items": [entry for _, entry in batch]}
        )
    except RefusedError as refusal:
        problems = list(_place_problems(refusal.problem.get("errors", ()), batch))
        raise (ArgumentError("\n".join(problems)) if problems else refusal) from None
    return counts


def _place_problems(errors: Iterable[Json], batch: Sequence[tuple[str, Json]]) -> Iterator[str]:
    """Yield each problem with the file and line of its entry."""
    for error in errors:
        match error["loc"]:
            case ["body", "items", int(index), *field] if index < len(batch):
                name = ".".join(map(str, field)) or "the entry"
                yield f"{batch[index][0]}: {name}: {error['msg']}"


def _parse_line(line: str, place: str) -> Json:
    entry = parse_json(line, f"{place} is not JSON")
    if not isinstance(entry, dict):
        raise ArgumentError(f"{place} is not a JSON object; use a file from `export`.")
    return entry


def _batches(entries: Sequence[tuple[str, Json]]) -> Iterator[Sequence[tuple[str, Json]]]:
    batch: list[tuple[str, Json]] = []
    size = 0
    for place, entry in entries:
        added = len(json.dumps(entry))
        if batch and (len(batch) == IMPORTED or size + added > IMPORTED_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append((place, entry))
        size += added
    if batch:
        yield batch


def _find_newest_grant(client: "Client") -> Json | None:
    return next(iter(client.iterate("list_memory_grants")), None)


GrantId = Annotated[
    str,
    id_argument(
        _find_newest_grant,
        "list_memory_grants",
        lister="memory grants",
        missing="There is no grant. `perdure memory grant NAMESPACE USER` makes one.",
    ),
]

GROUP.add_list(
    "list_memory_grants",
    "List the grants that you gave or received.",
    TableView(
        "namespace, mode, owner: user_id, grantee: grantee_id, id",
        nothing="No grants. `perdure memory grant NAMESPACE USER` makes one.",
    ),
    name="grants",
)
GROUP.add_action(
    "grant",
    "create_memory_grant",
    "Let another user read a namespace of yours, and those below it.",
    "Granted: {namespace} ({mode}), {id}",
    of=NOTHING,
    options={
        "namespace": argument("NAMESPACE", "One of yours."),
        "grantee": argument("USER", "The subject of their token."),
        "mode": option("read, or write.", "--mode", kind=str, default="read"),
    },
    has_json=True,
)
GROUP.add_action(
    "revoke",
    "delete_memory_grant",
    "Take a grant back.",
    "Revoked.",
    of=Reference({"grant_id": GrantId}),
)
