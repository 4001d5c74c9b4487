"""How workers reach servers: with the secrets of the user who runs the task, and no others."""

from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.errors import McpServerError
from domain.ids import new_id
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import RemoteScope
from services.definitions.mcp_connections import resolve_server
from tests.api.world import World, execute, make_task

Client = httpx2.AsyncClient

CANARY = "canary-90b2"
URL = "https://mcp.example.com/mcp"


async def resolve(
    world: World, client: Client, entry: dict[str, Any], *, execution_id: str | None = None
) -> ResolvedServer:
    user_id = UUID((await client.get("/api/v1/me")).json()["id"])
    run = UUID(execution_id) if execution_id else new_id()
    scope = RemoteScope(run, user_id, new_id(), {"shop": entry})
    return await resolve_server(world.gateway.services, scope, "shop", None)


async def put_secret(client: Client, name: str, **bound: Any) -> None:
    await client.put(f"/api/v1/secrets/{name}", json={"value": CANARY, **bound})


async def register(client: Client, **fields: Any) -> httpx2.Response:
    return await client.post("/api/v1/mcp-servers", json={"url": URL, **fields})


async def test_a_secret_goes_to_its_hosts_only(client: Client, world: World) -> None:
    await put_secret(client, "bound", hosts=["mcp.example.com"])
    headers = {"Authorization": "Bearer secret://bound", "X-Plain": "as it is"}
    server = await resolve(world, client, {"url": URL, "headers": headers})
    assert server.headers == {"Authorization": f"Bearer {CANARY}", "X-Plain": "as it is"}
    assert CANARY not in repr(server)
    with pytest.raises(McpServerError, match="may not be sent to elsewhere"):
        await resolve(world, client, {"url": "https://elsewhere.example", "headers": headers})


@pytest.mark.parametrize(
    ("tool", "is_allowed"),
    [("mcp__shop", True), ("mcp__shop__*", True), ("mcp__*", True), ("mcp__shopping__*", False)],
)
async def test_a_program_gets_the_secrets_of_its_tools_only(
    client: Client, world: World, tool: str, *, is_allowed: bool
) -> None:
    name = f"env-{new_id().hex}"
    await put_secret(client, name, tools=[tool])
    entry = {"command": "node", "env": {"TOKEN": f"secret://{name}"}}
    if is_allowed:
        assert (await resolve(world, client, entry)).environment == {"TOKEN": CANARY}
    else:
        with pytest.raises(McpServerError, match="is not for this server"):
            await resolve(world, client, entry)


async def test_a_registered_server_is_found_with_its_encrypted_values(
    client: Client, other: Client, world: World
) -> None:
    name = f"shop-{new_id().hex}"
    await register(client, name=name, headers={"X-Key": CANARY})
    server = await resolve(world, client, {"ref": name})
    assert (server.url, server.headers, server.is_trusted) == (URL, {"X-Key": CANARY}, False)
    with pytest.raises(McpServerError, match="no registered server"):
        await resolve(world, other, {"ref": name})


async def test_anothers_task_chooses_among_public_servers_only(
    client: Client, other: Client, admin: Client, world: World
) -> None:
    name = f"shared-{new_id().hex}"
    await register(admin, name=name, is_public=True, url="https://public.example.com/mcp")
    options = {"mcp_servers": {"shop": {"ref": name}}}
    task = await make_task(client, is_public=True, sdk_options=options)
    await register(other, name=name, url="https://private.example.com/mcp")
    run = await execute(other, task)
    of_others = await resolve(world, other, {"ref": name}, execution_id=run["id"])
    assert of_others.url == "https://public.example.com/mcp"
    own = await resolve(world, other, {"ref": name})
    assert own.url == "https://private.example.com/mcp"


async def test_only_admins_trust_a_server(client: Client, admin: Client, world: World) -> None:
    name = f"trusted-{new_id().hex}"
    refused = await register(client, name=name, is_trusted=True)
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    made = (await register(client, name=name)).json()
    path = made["_links"]["self"]
    assert (await admin.patch(path, json={"is_trusted": True})).json()["is_trusted"]
    assert (await resolve(world, client, {"ref": name})).is_trusted
    moved = await client.patch(path, json={"url": "https://evil.example.com/mcp"})
    assert moved.status_code == 403
    moved = await client.patch(
        path, json={"url": "https://new.example.com/mcp", "is_trusted": False}
    )
    assert moved.status_code == 200
    assert not (await resolve(world, client, {"ref": name})).is_trusted
