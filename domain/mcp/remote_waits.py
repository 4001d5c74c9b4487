"""Calls of MCP tools that are not answered yet: a task of the server, or a request for input.

What continues the call is stored with it before anything else happens, so that a crash continues it
and never makes it a second time. The stored state is JSON:

- `task`: the id of the server's task, which is polled; `since`, `poll_ms` and `failures` say when.
- or `request_state`: the server's own state, which is sent back with the responses; `rounds`.
- `requests`: the server's requests for input by key; `asked`: the one that a person answers now.
- `responses`: what is sent with the next request; `answered`: the keys that a task has received.
- `notes`: what the model reads before the result, such as a form that no person could be shown.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

RemoteState = Mapping[str, Any]

MAX_ROUNDS = 50
"""Requests for input of one call: a server that asks more often does not end (chosen)."""

MAX_NOTES = 5
"""Of one call; the model needs to read each reason once (chosen)."""

MAX_FAILURES = 30
"""Of polling in a row; with the delays between them, about half an hour (chosen)."""

HELD = timedelta(seconds=30)
"""So long a task is polled without releasing the worker's slot, if it allows short pauses."""

LONGEST_PAUSE_HELD = timedelta(seconds=5)
"""A longer pause releases the slot, as other delays do (chosen)."""

LONGEST_PAUSE = timedelta(minutes=1)
_PAUSES_PER_AGE = 10
"""A task is polled about every tenth of its age, within these limits (chosen)."""


@dataclass(frozen=True, slots=True)
class RemoteQuestion:
    """What a server asks a person: values that match `schema`, or a visit of `url`."""

    key: str
    message: str
    schema: Mapping[str, Any] | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class RemoteWait:
    """Why a call has no result yet: a person is asked, or it continues at `wakes_at`."""

    state: RemoteState
    wakes_at: datetime
    question: RemoteQuestion | None = None

    def compute_held_pause(self, now: datetime) -> float | None:
        """The seconds to wait in the worker's slot, or None if the slot is released."""
        since = datetime.fromisoformat(self.state["since"])
        pause = max(self.wakes_at - now, timedelta(0))
        if self.question is not None or pause > LONGEST_PAUSE_HELD or now - since > HELD:
            return None
        return pause.total_seconds()


def is_task(state: RemoteState | None) -> bool:
    """Whether the server has made the call a task."""
    return state is not None and "task" in state


def next_poll(state: RemoteState, now: datetime) -> datetime:
    """When a task is polled: at the server's pace, and the older it is, the less often."""
    asked = timedelta(milliseconds=state.get("poll_ms") or 1000)
    age = now - datetime.fromisoformat(state["since"])
    failures = timedelta(seconds=2.0 ** min(state.get("failures", 0), 6) - 1)
    slower = min(max(age / _PAUSES_PER_AGE, failures), LONGEST_PAUSE)
    return now + max(asked, slower)


def respond(state: RemoteState, response: Mapping[str, Any]) -> RemoteState:
    """The state after a response to the request that a person was asked."""
    key = state["asked"]
    responses = {**state.get("responses", {}), key: dict(response)}
    return {**state, "asked": None, "responses": responses}


def dismiss(state: RemoteState, problem: str) -> RemoteState:
    """The state after a question that no person can be shown: the server receives `cancel`."""
    return {**respond(state, DISMISSED_RESPONSE), "notes": add_notes(state, problem)}


def add_notes(state: RemoteState | None, *problems: str) -> Sequence[str]:
    """What the model reads, with sentences about questions that no person can be shown."""
    new = [f"Perdure dismissed a question of the server to a person: {text}" for text in problems]
    return list(dict.fromkeys([*(state or {}).get("notes", ()), *new]))[:MAX_NOTES]


def list_unanswered(state: RemoteState) -> Sequence[str]:
    """The keys of requests without a response, in the server's order."""
    done = {*state.get("responses", ()), *state.get("answered", ())}
    return [key for key in state.get("requests", ()) if key not in done]


def read_response(answer: Mapping[str, Any], *, has_schema: bool) -> Mapping[str, Any]:
    """A person's answer as the response to an elicitation."""
    if answer.get("decision") == "deny":
        return {"action": "decline"}
    if not has_schema:
        return {"action": "accept"}
    return {"action": "accept", "content": answer.get("values") or {}}


DISMISSED_RESPONSE: Mapping[str, Any] = {"action": "cancel"}
"""The response where no person has decided: the question expired, or it can't be shown."""

DECLINED_RESPONSE: Mapping[str, Any] = {"action": "decline"}
"""The response where the task's policy is that no person is asked."""
