"""`perdure queue`: claim work for external workers, keep it, and report the result."""

from cli import show
from cli.arguments import ExecutionId, Reference
from cli.resources import NOTHING, CommandGroup, Json, option

WORK = Reference({"execution_id": ExecutionId})
GROUP = CommandGroup("queue", "Work for people and other systems.", WORK)

TOKEN = option("The token of the lease, from the claim.", kind=str, default=...)
LEASE_SECONDS = option("How long the lease lasts without a heartbeat.", kind=float | None)


def _print_claim(claim: Json | None) -> None:
    if claim is None:
        show.out.print("There is no work.")
        return
    show.out.print_line(("execution    ", "dim"), claim["id"])
    show.out.print_line(("lease token  ", "dim"), claim["lease_token"])
    show.out.print_line(("until        ", "dim"), claim["lease_expires_at"])
    show.out.print(claim["specialist_context"])


def _print_heartbeat(state: Json) -> None:
    if state["must_stop"]:
        show.out.print(f"Stop: the execution is {state['status']} or was cancelled.")
    else:
        show.out.print(f"The lease lasts until {state['lease_expires_at']}.")


GROUP.add_action(
    "claim",
    "claim_work",
    "Claim the next work, or an execution, with a lease.",
    _print_claim,
    of=NOTHING,
    options={
        "agent_id": option("Only work of this agent.", "--agent"),
        "execution_id": option("Claim this execution.", "--execution"),
        "lease_seconds": LEASE_SECONDS,
        "worker": option("Your name, which others see as claimed_by."),
    },
    has_json=True,
)
GROUP.add_action(
    "heartbeat",
    "send_heartbeat",
    "Extend a lease, and see whether the work was cancelled.",
    _print_heartbeat,
    options={"lease_token": TOKEN, "lease_seconds": LEASE_SECONDS},
    has_json=True,
)
GROUP.add_action(
    "complete",
    "complete_work",
    "Report the result of claimed work.",
    "{id}: {status}",
    options={
        "lease_token": TOKEN,
        "summary": option("At most 200 characters."),
        "detailed_work": option("The whole result; it is stored as an artifact."),
        "artifact_type": option("The type of the artifact, such as code or analysis."),
        "next_action": option("complete, continue, needs_revision or blocked."),
    },
    has_json=True,
)
GROUP.add_action(
    "fail",
    "fail_work",
    "Report that claimed work failed.",
    "{id}: {status}",
    options={
        "lease_token": TOKEN,
        "message": option("Why it failed.", kind=str, default=...),
        "retryable": option(
            "Return the work to the queue.", "--retryable", kind=bool, default=False
        ),
    },
    has_json=True,
)
GROUP.add_action(
    "release",
    "release_work",
    "Return claimed work to the queue.",
    "{id}: {status}",
    options={"lease_token": TOKEN, "reason": option("Kept as an event.")},
    has_json=True,
)
