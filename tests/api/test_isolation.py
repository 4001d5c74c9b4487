"""Every route of the OpenAPI document refuses what belongs to another user.

The test reads the document, so it covers a new route without a change here, or fails until
tests/api/factories.py can make the resource in its path.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest

from api.main import create_app
from domain.ids import new_id
from tests.api.conftest import settings_of
from tests.api.factories import API, BODIES, FACTORIES, Parameters
from tests.api.world import World

Client = httpx2.AsyncClient
PARAMETER = re.compile(r"\{(\w+)\}")

WITHOUT_LOGIN = {"/health/live", "/health/ready", "/hooks/{token}"}
"""Served without credentials; a hook's address is itself one."""

NAMED_PER_USER = {"agents", "secrets", "memory", "inbox-views"}
"""Names are per user: another user's name is unknown, and a create makes one's own resource."""

SHARED = {"tasks", "task-templates"}
"""Resources that their owner can make public."""

USED_IN_PUBLIC = {
    "POST /tasks/{task_id}/execute": 202,
    "POST /tasks/{task_id}/dry-run": 200,
    "POST /task-templates/{template_id}/create-task": 201,
}
"""What others may do with a shared thing beside reading it."""

READ_BY_THE_OWNER = {
    "GET /tasks/{task_id}/hooks",
    "GET /tasks/{task_id}/hooks/{hook_id}",
    "GET /tasks/{task_id}/schedule",
}
"""What is private although it belongs to a shared thing."""

READ_BY_ALL = {
    "GET /groups": "users assign requests to groups",
    "GET /groups/{group_id}": "users assign requests to groups",
}
"""What all users may read, each with the reason."""

REFERENCES = {
    "session_id": ("sessions", "session_id"),
    "parent_task_id": ("task-executions", "execution_id"),
    "parent_execution_id": ("task-executions", "execution_id"),
    "execution_id": ("task-executions", "execution_id"),
    "prerequisites": ("task-executions", "execution_id"),
    "ids": ("task-executions", "execution_id"),
    "execution_ids": ("task-executions", "execution_id"),
    "task_id": ("tasks", "task_id"),
    "agent_id": ("agents", "agent_id"),
    "lease_token": ("queue", "execution_id"),
}
"""Fields of bodies that name things: of which resource, and by which of its parameters."""

NAMES_ITSELF = {"POST /agents"}
"""The slug is that of the new one."""

PASSED_OVER = {
    "POST /input-requests/bulk/withdraw",
    "POST /queue/prune",
    "POST /task-executions/bulk/cancel",
    "POST /task-executions/bulk/retry",
}
"""Take ids of others, and skip them."""


@dataclass(frozen=True)
class Route:
    """One operation of the document."""

    method: str
    path: str
    operation: Mapping[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method} {self.path.removeprefix(API)}"

    @property
    def resource(self) -> str:
        return self.path.removeprefix(f"{API}/").partition("/")[0]

    @property
    def parameters(self) -> list[str]:
        return PARAMETER.findall(self.path)

    @property
    def body(self) -> Any:
        """A body it takes; None where it takes none."""
        if "requestBody" not in self.operation:
            return None
        assert self.name in BODIES, f"tests/api/factories.py: BODIES lacks {self.name!r}"
        return BODIES[self.name]


def read_openapi() -> dict[str, Any]:
    """The OpenAPI document."""
    app = create_app(settings_of("postgresql://x@127.0.0.1/x", "127.0.0.1:1"))
    document: dict[str, Any] = app.openapi()
    return document


DOCUMENT = read_openapi()
ROUTES = [
    Route(method.upper(), path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]
THEIRS = [route for route in ROUTES if route.path.removeprefix(API) not in WITHOUT_LOGIN]
"""Routes that need credentials."""

PRIVATE = [route for route in THEIRS if route.name not in READ_BY_ALL]
"""Routes that serve nothing of other users."""


def parametrize_routes(routes: list[Route]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("route", routes, ids=lambda route: route.name)


@dataclass
class Owner:
    """A user with one of everything."""

    client: Client
    mark: str
    made: dict[str, Parameters] = field(default_factory=dict)

    async def make(self, world: World, resource: str) -> Parameters:
        """The values of the resource's path parameters."""
        assert resource in FACTORIES, f"tests/api/factories.py: FACTORIES lacks {resource!r}"
        if resource not in self.made:
            self.made[resource] = await FACTORIES[resource](world, self.client, self.mark)
        return self.made[resource]

    async def path(self, world: World, route: Route) -> str:
        """The route's path with this user's own things in it."""
        made = await self.make(world, route.resource)
        missing = set(route.parameters) - made.keys()
        assert not missing, f"tests/api/factories.py: {route.resource!r} makes no {missing}"
        return route.path.format(**made)

    def ids(self) -> set[str]:
        """Everything the user made, as far as it can't be guessed."""
        values = {value for made in self.made.values() for value in made.values()}
        return {value for value in values if len(value) > 8}


@pytest.fixture(scope="module")
async def alice(world: World) -> Any:
    async with world.client("alice") as client:
        yield Owner(client, f"canary-{new_id().hex}")


@pytest.fixture(scope="module")
async def bob(world: World) -> Any:
    async with world.client("bob") as client:
        yield Owner(client, f"bob-{new_id().hex}")


@parametrize_routes(THEIRS)
async def test_without_a_token_nothing_is_served(world: World, route: Route) -> None:
    assert route.operation.get("security"), "the document says that no token is needed"
    path = PARAMETER.sub(str(new_id()), route.path)
    async with Client(base_url=world.url) as nobody:
        for authorization in (None, "Bearer nonsense"):
            headers = {"Authorization": authorization} if authorization else {}
            answer = await nobody.request(route.method, path, headers=headers, json={})
            assert answer.status_code == 401, answer.text
            assert answer.json()["code"] == "unauthenticated"


@parametrize_routes([r for r in PRIVATE if r.parameters])
async def test_access_to_another_users_resources_is_refused(
    world: World, alice: Owner, bob: Owner, route: Route
) -> None:
    owner = replace(alice, made={}) if route.method == "PUT" else alice  # bob makes that name his
    path = await owner.path(world, route)
    before = await _read_unchanging(alice, _thing(path, route))
    answer = await bob.client.request(
        route.method, path, json=route.body, params=_fill_required(route)
    )
    assert alice.mark not in answer.text
    if route.resource in NAMED_PER_USER:
        assert answer.status_code == (201 if route.method == "PUT" else 404), answer.text
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied"), route
    assert await _read_unchanging(alice, _thing(path, route)) == before


@parametrize_routes([r for r in PRIVATE if r.method == "GET" and not r.parameters])
async def test_lists_hold_nothing_of_others(
    world: World, alice: Owner, bob: Owner, route: Route
) -> None:
    for resource in FACTORIES:
        await alice.make(world, resource)
    for query in _queries(route, alice):
        answer = await bob.client.get(route.path, params=query)
        assert answer.status_code < 500, answer.text
        assert alice.mark not in answer.text
        asked = set(query.values())  # a list says which address it answers
        assert not {made for made in alice.ids() - asked if made in answer.text}
        assert answer.status_code != 200 or not (asked and answer.json().get("items"))


@parametrize_routes([r for r in THEIRS if "requestBody" in r.operation])
async def test_bodies_name_nothing_of_others(
    world: World, alice: Owner, bob: Owner, route: Route
) -> None:
    path = await bob.path(world, route) if route.parameters else route.path
    for name, is_list in _references(route):
        resource, parameter = REFERENCES[name]
        value = (await alice.make(world, resource))[parameter]
        body = {**route.body, name: [value] if is_list else value}
        if route.name in PASSED_OVER:
            body.pop("filter", None)
        target = f"{API}/{resource}/{value}"
        before = await _read_unchanging(alice, target)
        answer = await bob.client.request(route.method, path, json=body)
        assert alice.mark not in answer.text
        expected = {200, 202} if route.name in PASSED_OVER else {403, 404, 409, 422}
        assert answer.status_code in expected, (name, answer.text)
        assert await _read_unchanging(alice, target) == before


@parametrize_routes([r for r in THEIRS if r.resource in SHARED and r.parameters])
async def test_public_resources_can_only_be_read_and_used(
    world: World, alice: Owner, bob: Owner, route: Route
) -> None:
    made = await FACTORIES[route.resource](world, alice.client, alice.mark)
    path = _thing(route.path.format(**made), route)
    response = await alice.client.patch(path, json={"is_public": True})
    assert response.status_code == 200, response.text
    run = await _run_of(alice, route, made)
    before = await _read_unchanging(alice, path)
    answer = await bob.client.request(
        route.method, route.path.format(**made), json=route.body, params=_fill_required(route)
    )
    assert run not in answer.text, "an execution of the owner's"
    if route.method == "GET":
        expected = 403 if route.name in READ_BY_THE_OWNER else 200
        assert answer.status_code == expected, answer.text
    else:
        assert answer.status_code == USED_IN_PUBLIC.get(route.name, 403), answer.text
    assert await _read_unchanging(alice, path) == before


def test_no_table_names_what_is_gone() -> None:
    names = {route.name for route in ROUTES}
    assert BODIES.keys() <= names
    assert USED_IN_PUBLIC.keys() | PASSED_OVER <= names
    assert FACTORIES.keys() <= {route.resource for route in ROUTES}


def _queries(route: Route, owner: Owner) -> Iterator[dict[str, str]]:
    """No query, and each parameter that can name a thing with one of the owner's."""
    yield {}
    values = {name: value for made in owner.made.values() for name, value in made.items()}
    values |= {"parent_id": values["execution_id"], "entity_id": values["task_id"]}
    for parameter in route.operation.get("parameters", ()):
        if parameter["in"] == "query" and parameter["name"] in values:
            yield {parameter["name"]: values[parameter["name"]]}


async def _run_of(owner: Owner, route: Route, made: Parameters) -> str:
    """An execution of the owner's of a shared task, which stays theirs alone."""
    if route.resource != "tasks":
        return owner.mark + " has no execution"
    path = f"{API}/tasks/{made['task_id']}/execute"
    return str((await owner.client.post(path, json={})).json()["id"])


def _fill_required(route: Route) -> dict[str, str]:
    """A value for each query parameter that the route can't do without."""
    given = route.operation.get("parameters", ())
    return {p["name"]: "x" for p in given if p["in"] == "query" and p.get("required")}


def _references(route: Route) -> Iterator[tuple[str, bool]]:
    """Fields of the route's body that name other things, and whether they are lists.

    A field that holds ids and is in no table fails: nobody would look whether it is checked.
    """
    if route.name in NAMES_ITSELF:
        return
    body = route.operation["requestBody"]["content"].get("application/json")
    if body is None:  # bytes
        return
    schema = body["schema"]
    properties = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"]
    for name, described_as in properties.items():
        text = json.dumps(described_as)
        if '"uuid"' in text or name in REFERENCES:
            assert name in REFERENCES, f"REFERENCES lacks {name!r} of {route.name}"
            yield name, '"array"' in text


def _thing(path: str, route: Route) -> str:
    """The address of the thing that the route is about: the path up to its first parameter."""
    parts = route.path.split("/")
    depth = next(number for number, part in enumerate(parts) if part.startswith("{"))
    return "/".join(path.split("/")[: depth + 1])


async def _read_unchanging(owner: Owner, path: str) -> str:
    """What the owner reads there, without what changes by itself."""
    answer = await owner.client.get(path)
    if answer.status_code != 200:
        return str(answer.status_code)
    read = answer.json()
    read.pop("last_used_at", None)
    return json.dumps(read)
