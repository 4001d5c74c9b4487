"""Making the gateway hold what files say: compare, show the difference, carry it out."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from cli.client import Gateway, Json, RefusedError
from cli.definitions import KINDS, TASK, Definition, Kind, as_yaml, of_resource

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


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one definition: the resource, or why the gateway refused it."""

    planned: Planned
    resource: Json | None
    refusal: str | None = None


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


def carry_out(gateway: Gateway, planned: Sequence[Planned]) -> Iterator[Result]:
    """Do it, kind after kind; a refusal stops nothing else."""
    for name in dict.fromkeys(p.wanted.kind.name for p in planned):
        of_kind = [p for p in planned if p.wanted.kind.name == name]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            yield from pool.map(partial(_apply, gateway), of_kind)


def apply(gateway: Gateway, definition: Definition) -> Json:
    """The resource of one definition, made or changed to what it says.

    Raises:
        RefusedError: the gateway refuses it.
    """
    return _done(gateway, plan(gateway, [definition])[0])


def _apply(gateway: Gateway, planned: Planned) -> Result:
    try:
        return Result(planned, _done(gateway, planned))
    except RefusedError as error:
        return Result(planned, None, str(error))


def _done(gateway: Gateway, planned: Planned) -> Json:
    wanted, resource = planned.wanted, planned.resource
    if resource is None:
        made: Json = gateway.post(wanted.kind.path, wanted.request)
        return made
    held = planned.held
    changed = {
        field: wanted.body.get(field, wanted.kind.defaults.get(field))
        for field in held.keys() | wanted.body.keys()
        if held.get(field) != wanted.body.get(field)
    }
    if not changed:
        return resource
    patched: Json = gateway.patch(resource["_links"]["self"].removeprefix("/api/v1"), changed)
    return patched
