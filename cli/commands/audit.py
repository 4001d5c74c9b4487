"""`perdure audit`: who changed what, and whether the record of it holds."""

from typing import Annotated, Any

import typer

from cli.commands.connection import gateway_of
from cli.commands.run import AsJson
from cli.exits import CommandError, Exit

app = typer.Typer(name="audit", help="Who changed what.", no_args_is_help=True)

HEAD = "SEQ:HASH"


class BrokenChainError(CommandError):
    """The chain does not hold; the message says where."""

    exit = Exit.FAILED


@app.command("list")
def list_entries(
    context: typer.Context,
    entity: Annotated[str | None, typer.Option(help="The id of a task, an execution, …")] = None,
    action: Annotated[str | None, typer.Option(help="Such as task.update.")] = None,
    actor: Annotated[str | None, typer.Option(help="A user's id or subject.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    *,
    as_json: AsJson = False,
) -> None:
    """List what was done, newest first."""
    from cli import show

    query = {"entity_id": entity, "action": action, "actor": actor, "page_size": limit}
    with gateway_of(context) as gateway:
        page = gateway.get("/audit-logs", **query)
    if as_json:
        show.as_json(page)
        return
    show.rows(
        ("at", "actor", "action", "entity", "seal", "after"),
        [
            (
                show.when(entry["at"]),
                entry["actor"] or "perdure",
                entry["action"],
                f"{entry['entity_type']} {entry['entity_id']}",
                entry["seal"]["seq"] if entry["seal"] else "-",
                entry["after"],
            )
            for entry in page["items"]
        ],
        nothing="Nothing was done yet.",
    )


@app.command()
def verify(
    context: typer.Context,
    from_seq: Annotated[int, typer.Option(min=1, help="The first seal to verify.")] = 1,
    expect_head: Annotated[
        str | None, typer.Option(metavar=HEAD, help="A head printed before and kept elsewhere.")
    ] = None,
    *,
    direct: Annotated[
        bool, typer.Option("--direct", help="Read PERDURE_DATABASE_URL, past the gateway.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify the chain over the audit log; ends with 1 where it is broken, and says where.

    Keep the head that is printed where nobody who can write the database reaches it: a log cut at
    its end can be told from a shorter one only with it (--expect-head).
    """
    from cli import show

    found = _verified(context, from_seq, expect_head, direct=direct)
    if as_json:
        show.as_json(found)
        if not found["is_intact"]:
            raise typer.Exit(Exit.FAILED)
        return
    if fault := found["broken"]:
        place = f"at seal {fault['seq']}" if fault["seq"] else "outside of the chain"
        raise BrokenChainError(
            f"The audit log is broken {place}: {fault['fault']} (entry {fault['audit_id']})."
        )
    if mismatch := found["head_mismatch"]:
        raise BrokenChainError(
            f"The audit log holds, but is not the one of the expected head: seal {mismatch['seq']} "
            f"is {mismatch['hash'] or 'missing'}."
        )
    show.out.print(f"The audit log holds: {found['verified']} seals verified.")
    if head := found["head"]:
        show.out.print(f"head {head['seq']}:{head['hash']}", markup=False, soft_wrap=True)
    if found["unsealed"]:
        show.out.print(f"{found['unsealed']} entries wait for their seals.")


def _verified(
    context: typer.Context, from_seq: int, expect_head: str | None, *, direct: bool
) -> dict[str, Any]:
    if direct:
        from cli.auditing import verify_directly

        return verify_directly(from_seq, expect_head)
    with gateway_of(context) as gateway:
        first = from_seq
        while True:
            found: dict[str, Any] = gateway.get(
                "/audit-logs/verify", from_seq=first, expect_head=expect_head
            )
            if not found["next_from_seq"]:
                verified = max(0, found["to_seq"] - from_seq + 1)
                return {**found, "from_seq": from_seq, "verified": verified}
            first = found["next_from_seq"]
