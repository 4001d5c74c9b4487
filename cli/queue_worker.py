"""The worker of `perdure queue work`: it claims work, runs a command for each, and reports the end.

It uses only the public API, so it is also an example of a worker.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from cli.connection.client import Client, RefusedError
from cli.connection.endpoint import UnreachableError
from cli.stack import launch
from cli.stack.process import tie_to_parent
from cli.terminal import show

WAIT_SECONDS = 20.0
"""Of one claim for work (below the client's timeout of 30 s)."""

RETRY_SECONDS = 2.0
"""Between attempts while the gateway does not answer (chosen)."""

MOST_HEARTBEAT_SECONDS = 5.0
"""Between two heartbeats: a cancel stops the command within this time (chosen)."""

GRACE_SECONDS = 10.0
"""For the command to end after SIGTERM, before SIGKILL (chosen)."""

TEMPORARY_FAILURE = 75
"""EX_TEMPFAIL of sysexits.h: another attempt may succeed."""

MOST_OUTPUT_BYTES = 8_000_000
"""Of the output as JSON that are reported: below the limit of a request's body (chosen)."""

LONGEST_MESSAGE = 4_000
"""Characters of the end of the error output that are reported (chosen)."""

LONGEST_SUMMARY = 200
LEASE_LOST = 409
TOO_MANY_REQUESTS = 429

Json = dict[str, Any]


class Stopped(BaseException):
    """SIGTERM or SIGINT: the worker releases its work and ends."""


class LeaseEnded(Exception):  # noqa: N818 - a state that ends the work, no fault
    """The work was cancelled, or another worker may have it."""


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """What a worker claims, and how long its lease lasts without a heartbeat."""

    agent_id: str | None
    capabilities: Sequence[str]
    lease_seconds: float
    name: str
    is_once: bool


@dataclass(frozen=True, slots=True)
class CommandEnd:
    """How a command ended."""

    code: int
    output: str
    errors: str


@contextmanager
def stop_on_signals() -> Iterator[None]:
    """Raise `Stopped` in the main thread at SIGTERM or SIGINT, once."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_worker(client: Client, options: WorkerOptions, command: Sequence[str]) -> None:
    """Work until a signal; with `is_once`, for at most one execution.

    Raises:
        RefusedError: a claim is refused, for example because the agent does not exist.
    """
    with suppress(Stopped), stop_on_signals():
        while True:
            claimed = _claim(client, options)
            if claimed is not None:
                _work(client, claimed, options.lease_seconds, command)
            if options.is_once:
                return


def _claim(client: Client, options: WorkerOptions) -> Json | None:
    """The next work; None after some seconds without any."""
    body: Json = {"lease_seconds": options.lease_seconds, "worker": options.name}
    if options.agent_id is not None:
        body["agent_id"] = options.agent_id
    if options.capabilities:
        body["capabilities"] = list(options.capabilities)
    try:
        wait = 0 if options.is_once else WAIT_SECONDS
        # Repeated with the same key, so that an answer that is lost loses no lease.
        with _limits_as_outages():
            claimed: Json | None = client.start("claim_work", body, wait=wait)
    except UnreachableError as error:
        if options.is_once:
            raise
        show.err.print(f"{error} Trying again.")
        time.sleep(RETRY_SECONDS)
        return None
    return claimed


@contextmanager
def _limits_as_outages() -> Iterator[None]:
    """Treat too many requests like a gateway that does not answer: later ones may succeed."""
    try:
        yield
    except RefusedError as refusal:
        if refusal.status != TOO_MANY_REQUESTS:
            raise
        raise UnreachableError(str(refusal)) from refusal


def _work(client: Client, claimed: Json, lease_seconds: float, command: Sequence[str]) -> None:
    """Run the command for claimed work, and report how it ended."""
    show.out.print(f"{claimed['id']}: {claimed['title']}")
    try:
        outcome = run_command(client, claimed, lease_seconds, command)
        status = _report(client, claimed, lease_seconds, outcome)
    except LeaseEnded as end:
        show.out.print(f"{claimed['id']}: stopped, {end}")
    except Stopped:
        body = {"lease_token": claimed["lease_token"], "reason": "the worker was stopped"}
        with suppress(RefusedError, UnreachableError):  # it has ended, or its lease runs out
            client.call("release_work", body, execution_id=claimed["id"])
            show.out.print(f"{claimed['id']}: released")
        raise
    else:
        show.out.print(f"{claimed['id']}: {status}")


def run_command(
    client: Client, claimed: Json, lease_seconds: float, command: Sequence[str]
) -> CommandEnd:
    """Run the command with the work as JSON on its standard input, and keep the lease meanwhile.

    Raises:
        LeaseEnded: the command was stopped.
    """
    interval = _choose_interval(lease_seconds)
    kept_at = time.monotonic()
    process = subprocess.Popen(
        tie_to_parent(command, signal.SIGKILL, launch.SELF),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    given: str | None = json.dumps(claimed)
    with process:  # closes its pipes
        try:
            while True:
                try:
                    output, errors = process.communicate(given, timeout=interval)
                    return CommandEnd(process.returncode, output, errors)
                except subprocess.TimeoutExpired:
                    given = None
                    sent_at = time.monotonic()
                    if _keep_lease(client, claimed):
                        kept_at = sent_at
                    elif time.monotonic() - kept_at > lease_seconds:
                        raise LeaseEnded("its lease ran out, and could not be extended") from None
        except BaseException:
            _end(process)
            raise


def _choose_interval(lease_seconds: float) -> float:
    """Seconds between two heartbeats."""
    return min(lease_seconds / 3, MOST_HEARTBEAT_SECONDS)


def _keep_lease(client: Client, claimed: Json) -> bool:
    """Extend the lease; False if the gateway does not answer.

    Raises:
        LeaseEnded: the command must stop.
    """
    body = {"lease_token": claimed["lease_token"]}
    try:
        with _limits_as_outages():
            state: Json = client.call("send_heartbeat", body, execution_id=claimed["id"])
    except UnreachableError:
        return False  # the next heartbeat may arrive in time
    except RefusedError as refusal:
        raise LeaseEnded(str(refusal)) from refusal
    if state["must_stop"]:
        raise LeaseEnded(f"cancelled: {state['cancel_reason'] or 'no reason was given'}")
    return True


def _end(process: "subprocess.Popen[str]") -> None:
    """End the command and what it has started, which may run although the command has ended."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _report(client: Client, claimed: Json, lease_seconds: float, outcome: CommandEnd) -> str:
    """Complete or fail the work; returns its status.

    While the gateway does not answer, or can't store the output, it is repeated under the lease.

    Raises:
        LeaseEnded: the report came too late.
    """
    lease = {"lease_token": claimed["lease_token"]}
    kept_at = time.monotonic()

    def keep_lease() -> None:
        nonlocal kept_at
        if time.monotonic() - kept_at >= _choose_interval(lease_seconds):
            kept_at = time.monotonic()
            with suppress(LeaseEnded):  # the output of a late report is stored, too
                _keep_lease(client, claimed)

    if outcome.code == 0:
        operation, body = "complete_work", {**lease, **describe(outcome.output)}
    else:
        operation = "fail_work"
        body = {**lease, "message": _explain(outcome)}
        body["retryable"] = outcome.code == TEMPORARY_FAILURE
    while True:
        try:
            with _limits_as_outages():
                done: Json = client.start(
                    operation, body, before_retry=keep_lease, execution_id=claimed["id"]
                )
        except UnreachableError as error:
            show.err.print(f"{error} Trying again.")
            time.sleep(RETRY_SECONDS)
            keep_lease()
        except RefusedError as refusal:
            if refusal.status != LEASE_LOST:
                raise
            raise LeaseEnded(str(refusal)) from refusal
        else:
            return str(done["status"])


def describe(output: str) -> Json:
    """The report: the output is the detailed work, and its last line the summary."""
    text = output.replace("\0", "").strip()
    if not text:
        return {}
    summary = text.splitlines()[-1][:LONGEST_SUMMARY]
    if (begin := _shorten(text)) != text:
        text = f"{begin}\n(The output was longer.)"
    return {"summary": summary, "detailed_work": text}


def _shorten(text: str) -> str:
    """The beginning of a text, of `MOST_OUTPUT_BYTES` as JSON."""
    while (size := len(json.dumps(text, ensure_ascii=False).encode())) > MOST_OUTPUT_BYTES:
        text = text[: int(0.99 * len(text) * MOST_OUTPUT_BYTES / size)]
    return text


def _explain(outcome: CommandEnd) -> str:
    ended = (
        f"The command ended with exit code {outcome.code}."
        if outcome.code > 0
        else f"Signal {-outcome.code} ended the command."
    )
    errors = outcome.errors.replace("\0", "").strip()[-LONGEST_MESSAGE:]
    return f"{ended}\n{errors}" if errors else ended
