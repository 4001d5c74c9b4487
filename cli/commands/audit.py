"""`perdure audit`: who changed what, and whether the log of it was tampered with."""

from typing import Annotated, Any

import typer

from cli.arguments.option_groups import with_output
from cli.arguments.references import open_client
from cli.command_groups.resources import CommandGroup, TableView, option
from cli.exits import CommandError, Exit
from cli.terminal import show

GROUP = CommandGroup("audit", "Who changed what.")
HEAD = "SEQ:HASH"


class BrokenChainError(CommandError):
    """The chain over the audit log is broken; the message says where."""

    exit = Exit.FAILED


GROUP.add_list(
    "list_audit_logs",
    "List changes, newest first.",
    TableView(
        "at, actor, action, entity, seal: seal.seq, after",
        nothing="Nothing was changed yet.",
        computed={
            "actor": lambda entry: entry["actor"] or "perdure",
            "entity": lambda entry: f"{entry['entity_type']} {entry['entity_id']}",
        },
    ),
    options={
        "entity_id": option("The id of a task, an execution, …", "--entity"),
        "action": option("Such as task.update."),
        "actor": option("A user's id or subject."),
    },
    limit=20,
)


@GROUP.app.command()
@with_output
def verify(
    context: typer.Context,
    from_seq: Annotated[int, typer.Option(min=1, help="The first seal to verify.")] = 1,
    expect_head: Annotated[
        str | None, typer.Option(metavar=HEAD, help="A head that an earlier run printed.")
    ] = None,
    *,
    direct: Annotated[
        bool, typer.Option("--direct", help="Read PERDURE_DATABASE_URL, without the gateway.")
    ] = False,
    output: str,
) -> None:
    """Verify the chain over the audit log; exit with 1 if it is broken, and print where.

    Store the printed head where users of the database can't write: only with it (--expect-head)
    is a log that lost its end recognised.
    """
    found = _verify(context, from_seq, expect_head, direct=direct)
    show.print_answer(found, output, _print_verification)
    if not found["is_intact"]:
        raise typer.Exit(Exit.FAILED)


def _print_verification(found: dict[str, Any]) -> None:
    """Print what was verified.

    Raises:
        BrokenChainError: the chain is broken, or is not that of the expected head.
    """
    if fault := found["broken"]:
        place = f"at seal {fault['seq']}" if fault["seq"] else "outside of the chain"
        raise BrokenChainError(
            f"The audit log is broken {place}: {fault['fault']} (entry {fault['audit_id']})."
        )
    if mismatch := found["head_mismatch"]:
        raise BrokenChainError(
            "The audit log is intact, but is not the one of the expected head: seal "
            f"{mismatch['seq']} is {mismatch['hash'] or 'missing'}."
        )
    show.out.print(f"The audit log is intact: {found['verified']} seals verified.")
    if head := found["head"]:
        show.out.print(f"head {head['seq']}:{head['hash']}")
    if found["unsealed"]:
        show.out.print(f"{found['unsealed']} entries wait for their seals.")


def _verify(
    context: typer.Context, from_seq: int, expect_head: str | None, *, direct: bool
) -> dict[str, Any]:
    if direct:
        from cli.auditing import verify_directly

        return verify_directly(from_seq, expect_head)
    with open_client(context) as client:
        first = from_seq
        while True:
            found: dict[str, Any] = client.call(
                "verify_audit_logs", from_seq=first, expect_head=expect_head
            )
            if not found["next_from_seq"]:
                verified = max(0, found["to_seq"] - from_seq + 1)
                return {**found, "from_seq": from_seq, "verified": verified}
            first = found["next_from_seq"]
