"""Brings the gateway's tasks and agents to what files define: compares, shows, applies."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from threading import Event
from typing import Any

from agent_library.yaml_text import write_yaml
from cli.connection.client import Client, Json, RefusedError
from cli.connection.endpoint import UnreachableError
from cli.definitions.files import (
    AGENT,
    KINDS,
    TASK,
    Definition,
    DefinitionKind,
    define_resource,
)

CONCURRENT_REQUESTS = 8
"""Eight use a gateway well, and leave room for other users (chosen)."""


class Change(StrEnum):
    """What a definition changes at the gateway."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "unchanged"


@dataclass(frozen=True, slots=True)
class Planned:
    """A definition, and the gateway's resource with its key, if there is one."""

    wanted: Definition
    resource: Json | None

    @property
    def held(self) -> Json:
        """The resource as the body of a definition."""
        return define_resource(self.wanted.kind, self.resource).body if self.resource else {}

    @property
    def change(self) -> Change:
        """What the definition changes."""
        if self.resource is None:
            return Change.CREATE
        return Change.NOTHING if self.held == self.wanted.body else Change.UPDATE

    @property
    def request(self) -> Json:
        """The body that creates the resource, or the fields that change."""
        wanted, held = self.wanted, self.held
        if self.resource is None:
            return wanted.body
        return {
            field: wanted.body.get(field, wanted.kind.defaults.get(field))
            for field in held.keys() | wanted.body.keys()
            if held.get(field) != wanted.body.get(field)
        }

    def write_difference(self) -> str:
        """The change as a unified diff of YAML."""
        label = f"{self.wanted.kind.name} {self.wanted.key}"
        lines = difflib.unified_diff(
            write_yaml(self.held).splitlines() if self.held else [],
            write_yaml(self.wanted.body).splitlines(),
            f"{label} (gateway)",
            f"{label} ({self.wanted.source})",
            lineterm="",
        )
        return "\n".join(lines)


class ApplyOutcome(StrEnum):
    """How applying a definition ended."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    """The gateway got the request and did not answer: it may be done or not."""
    NOT_TRIED = "not tried"


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The outcome of one definition: the resource, or the reason why there is none."""

    planned: Planned
    outcome: ApplyOutcome
    resource: Json | None = None
    reason: str | None = None


def plan(client: Client, definitions: Sequence[Definition]) -> Sequence[Planned]:
    """What to apply, agents first: a task may name an agent."""
    planned: list[Planned] = []
    for kind in KINDS.values():
        wanted = [d for d in definitions if d.kind is kind]
        held = _read_held(client, kind, wanted) if wanted else {}
        planned += [Planned(d, held.get(d.key)) for d in wanted]
    return planned


def _read_held(
    client: Client, kind: DefinitionKind, wanted: Sequence[Definition]
) -> Mapping[str, Json]:
    """My resources of a kind by key; for a single task, only those whose names contain its."""
    narrow = {"q": wanted[0].key[:200]} if kind is TASK and len(wanted) == 1 else {}
    return {r[kind.key]: r for r in list_own(client, kind, **narrow)}


def list_own(client: Client, kind: DefinitionKind, **query: Any) -> Iterator[Json]:
    """My own resources of a kind, without those that others share and the built-in ones."""
    me = client.call("get_me")["id"]
    return (r for r in client.iterate(f"list_{kind.name}s", **query) if r["user_id"] == me)


def rehearse(client: Client, planned: Sequence[Planned]) -> Iterator[ApplyResult]:
    """Check each with the gateway, in the same order, without storing anything.

    Raises:
        UnreachableError: the gateway does not answer.
    """
    agents: dict[str, Json] = {}
    for of_kind in _group_by_kind(planned):
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            for result in pool.map(partial(_rehearse_one, client, dict(agents)), of_kind):
                wanted = result.planned.wanted
                if wanted.kind is AGENT and result.outcome is ApplyOutcome.DONE:
                    agents[wanted.key] = wanted.body
                yield result


def _rehearse_one(client: Client, agents: Mapping[str, Json], planned: Planned) -> ApplyResult:
    if planned.change is Change.NOTHING:
        return ApplyResult(planned, ApplyOutcome.DONE, planned.resource)
    request = planned.request
    if planned.wanted.kind is TASK:
        request = {**request, **_replace_agent(planned.wanted.body, agents)}
    try:
        resource = _send(client, planned, request, dry_run=True)
        return ApplyResult(planned, ApplyOutcome.DONE, resource)
    except RefusedError as error:
        return ApplyResult(planned, ApplyOutcome.REFUSED, reason=str(error))


def _replace_agent(task: Json, agents: Mapping[str, Json]) -> Json:
    """Changes to a task that names one of these agents, which the gateway does not have yet.

    A task's rules need to know of its agent only whether it exists, and its model. Public tasks and
    agents that work outside are refused in any case, so they need no change.
    """
    agent = agents.get(str(task.get("agent_id")))
    if agent is None or task.get("is_public") or agent.get("executor", "claude") != "claude":
        return {}
    options = task.get("sdk_options", {})
    return {"agent_id": None, "sdk_options": {"model": agent.get("model"), **options}}


def apply_all(client: Client, planned: Sequence[Planned]) -> Iterator[ApplyResult]:
    """Apply it, kind after kind; each definition has a result.

    After a refusal the others are tried, after a gateway that does not answer they are not.
    """
    lost = Event()
    for of_kind in _group_by_kind(planned):
        with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
            yield from pool.map(partial(_apply_one, client, lost), of_kind)


def apply(client: Client, definition: Definition) -> Json:
    """The resource of one definition, created or updated where needed.

    Raises:
        RefusedError: the gateway refuses it.
    """
    return _apply_planned(client, plan(client, [definition])[0])


def _apply_one(client: Client, lost: Event, planned: Planned) -> ApplyResult:
    if lost.is_set():
        return ApplyResult(planned, ApplyOutcome.NOT_TRIED)
    try:
        return ApplyResult(planned, ApplyOutcome.DONE, _apply_planned(client, planned))
    except RefusedError as error:
        return ApplyResult(planned, ApplyOutcome.REFUSED, reason=str(error))
    except UnreachableError as error:
        lost.set()
        outcome = ApplyOutcome.UNKNOWN if error.was_sent else ApplyOutcome.NOT_TRIED
        return ApplyResult(planned, outcome, reason=str(error))


def _group_by_kind(planned: Sequence[Planned]) -> Iterator[Sequence[Planned]]:
    for name in dict.fromkeys(p.wanted.kind.name for p in planned):
        yield [p for p in planned if p.wanted.kind.name == name]


def _apply_planned(client: Client, planned: Planned) -> Json:
    if planned.resource is not None and planned.change is Change.NOTHING:
        return planned.resource
    return _send(client, planned, planned.request)


def _send(client: Client, planned: Planned, request: Json, *, dry_run: bool | None = None) -> Json:
    """The gateway's answer to the request that creates or updates the resource."""
    kind = planned.wanted.kind
    if planned.resource is None:
        operation, path = f"create_{kind.name}", {}
    else:
        operation = f"update_{kind.name}"
        path = {f"{kind.name}_id": planned.resource[kind.id_field]}
    answer: Json = client.call(operation, request, **path, dry_run=dry_run)
    return answer
