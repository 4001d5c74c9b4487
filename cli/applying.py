"""Making the gateway hold what files say: compare, show the difference, carry it out."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from threading import Event

from cli.client import Gateway, Json, RefusedError, UnreachableError
from cli.definitions import AGENT, KINDS, TASK, Definition, Kind, as_yaml, of_resource

AT_ONCE = 8
"""Requests under way: a gateway is busy with eight, and other users get through (chosen)."""


class Change(StrEnum):
    """What has to be done for a definition."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "unchanged"


@dataclass(frozen=True, slots=True)
class Planned:
    """A definition, and the resource that the gateway holds under its key, if it holds one."""

    wanted: Definition
    resource: Json | None

    @property
    def held(self) -> Json:
        """What the gateway holds, in the form of files."""
        return of_resource(self.wanted.kind, self.resource).body if self.resource else {}

    @property
    def change(self) -> Change:
        """What has to be done."""
        if self.resource is None:
            return Change.CREATE
        return Change.NOTHING if self.held == self.wanted.body else Change.UPDATE

    @property
    def request(self) -> Json:
        """The body that creates it, or the fields that change."""
        wanted, held = self.wanted, self.held
        if self.resource is None:
            return wanted.request
        return {
            field: wanted.body.get(field, wanted.kind.defaults.get(field))
            for field in held.keys() | wanted.body.keys()
            if held.get(field) != wanted.body.get(field)
        }

    def difference(self) -> str:
        """What would change, as a unified diff of YAML."""
        label = f"{self.wanted.kind.name} {self.wanted.key}"
        lines = difflib.unified_diff(
            as_yaml(self.held).splitlines() if self.held else [],
            as_yaml(self.wanted.body).splitlines(),
            f"{label} (gateway)",
            f"{label} ({self.wanted.source})",
            lineterm="",
        )
        return "\n".join(lines)


class Outcome(StrEnum):
    """What came of a definition."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """The gateway was asked and did not answer: it may be done or not."""
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one definition: the resource, or why there is none."""

    planned: Planned
    outcome: Outcome
    resource: Json | None = None
    reason: str | None = None


def plan(gateway: Gateway, definitions: Sequence[Definition]) -> Sequence[Planned]:
    """What there is to do, in the order in which it must be done: a task may name an agent."""
    planned: list[Planned] = []
    for kind in KINDS.values():
        wanted = [d for d in definitions if d.kind is kind]
        held = _held(gateway, kind, wanted) if wanted else {}
        planned += [Planned(d, held.get(d.key)) for d in wanted]
    return planned


def _held(gateway: Gateway, kind: Kind, wanted: Sequence[Definition]) -> Mapping[str, Json]:
    """My resources of a kind by key; for a single task, only those that have its name in them."""
    narrow = {"q": wanted[0].key[:200]} if kind is TASK and len(wanted) == 1 else {}
    return {r[kind.key]: r for r in mine(gateway, kind, **narrow)}


def mine(gateway: Gateway, kind: Kind, **query: str) -> Iterator[Json]:
    """My own resources of a kind: neither what others share nor what is built in."""
    me = gateway.get("/me")["id"]
    return (r for r in gateway.items(kind.path, **query) if r["user_id"] == me)


def rehearse(gateway: Gateway, planned: Sequence[Planned]) -> Iterator[Result]:
    """Ask the gateway's rules about each, in the same order; nothing is stored.

    Raises:
        UnreachableError: the gateway went away.
    """
    agents: dict[str, Json] = {}
    for of_kind in _by_kind(planned):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for result in pool.map(partial(_rehearsed, gateway, dict(agents)), of_kind):
                wanted = result.planned.wanted
                if wanted.kind is AGENT and result.outcome is Outcome.DONE:
                    agents[wanted.key] = wanted.body
                yield result


def _rehearsed(gateway: Gateway, agents: Mapping[str, Json], planned: Planned) -> Result:
    if planned.change is Change.NOTHING:
        return Result(planned, Outcome.DONE, planned.resource)
    request = planned.request
    if planned.wanted.kind is TASK:
        request |= _without_its_agent(planned.wanted.request, agents)
    try:
        return Result(planned, Outcome.DONE, _sent(gateway, planned, request, dry_run="true"))
    except RefusedError as error:
        return Result(planned, Outcome.REFUSED, reason=str(error))


def _without_its_agent(task: Json, agents: Mapping[str, Json]) -> Json:
    """Changes to a task that names one of these agents, which the gateway does not have so yet.

    All that an agent means to a task's rules is whether it is there, and its model. Public tasks
    and agents that work outside are refused in any case, so they may as well name it.
    """
    agent = agents.get(str(task.get("agent_id")))
    if agent is None or task.get("is_public") or agent.get("executor", "claude") != "claude":
        return {}
    options = task["sdk_options"]
    return {"agent_id": None, "sdk_options": {"model": agent.get("model"), **options}}


def carry_out(gateway: Gateway, planned: Sequence[Planned]) -> Iterator[Result]:
    """Do it, kind after kind. A refusal stops nothing else; a gateway that is away stops the rest.

    Each definition has its result, also of what was not tried.
    """
    lost = Event()
    for of_kind in _by_kind(planned):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(partial(_carried_out, gateway, lost), of_kind)


def apply(gateway: Gateway, definition: Definition) -> Json:
    """The resource of one definition, made or changed to what it says.

    Raises:
        RefusedError: the gateway refuses it.
    """
    return _done(gateway, plan(gateway, [definition])[0])


def _carried_out(gateway: Gateway, lost: Event, planned: Planned) -> Result:
    if lost.is_set():
        return Result(planned, Outcome.NOT_TRIED)
    try:
        return Result(planned, Outcome.DONE, _done(gateway, planned))
    except RefusedError as error:
        return Result(planned, Outcome.REFUSED, reason=str(error))
    except UnreachableError as error:
        lost.set()
        outcome = Outcome.UNKNOWN if error.was_sent else Outcome.NOT_TRIED
        return Result(planned, outcome, reason=str(error))


def _by_kind(planned: Sequence[Planned]) -> Iterator[Sequence[Planned]]:
    for name in dict.fromkeys(p.wanted.kind.name for p in planned):
        yield [p for p in planned if p.wanted.kind.name == name]


def _done(gateway: Gateway, planned: Planned) -> Json:
    if planned.resource is not None and planned.change is Change.NOTHING:
        return planned.resource
    return _sent(gateway, planned, planned.request)


def _sent(gateway: Gateway, planned: Planned, request: Json, **query: str) -> Json:
    """What the gateway answers to the request that makes or changes it."""
    if planned.resource is None:
        made: Json = gateway.post(planned.wanted.kind.path, request, **query)
        return made
    path = planned.resource["_links"]["self"].removeprefix("/api/v1")
    changed: Json = gateway.patch(path, request, **query)
    return changed
