from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from domain.ids import new_id
from tests.api.world import TASK, World, make_task

Client = httpx2.AsyncClient

MASK = "********"
CANARY = "canary-5f1c"


async def make_server(client: Client, **changed: Any) -> dict[str, Any]:
    body = {"name": f"shop-{new_id().hex}", "url": "https://mcp.example.com/mcp", **changed}
    body = {field: value for field, value in body.items() if value is not None}
    response = await client.post("/api/v1/mcp-servers", json=body)
    assert response.status_code == 201, response.text
    server: dict[str, Any] = response.json()
    return server


async def test_secrets_are_masked_and_sealed(client: Client, world: World) -> None:
    headers = {"Authorization": f"Bearer {CANARY}", "X-Key": "Bearer secret://shop"}
    server = await make_server(client, headers=headers)
    shown = {"Authorization": MASK, "X-Key": "Bearer secret://shop"}
    assert server["headers"] == shown
    assert (await client.get(server["_links"]["self"])).json() == server
    assert (await client.get("/api/v1/mcp-servers")).json()["items"][0] == server
    changed = await client.patch(
        server["_links"]["self"], json={"description": "new", "headers": {**shown, "X-A": "b"}}
    )
    assert changed.json()["headers"] == {**shown, "X-A": MASK}
    async with world.gateway.database.reading() as session:
        for table in ("mcp_servers", "audit_log", "idempotency_keys"):
            rows = await session.scalars(text(f"SELECT t::text FROM {table} t"))  # noqa: S608
            assert not any(CANARY in row for row in rows), table


async def test_a_mask_of_nothing_is_refused(client: Client) -> None:
    body = {"name": "x", "url": "https://mcp.example.com", "headers": {"X-A": MASK}}
    refused = await client.post("/api/v1/mcp-servers", json=body)
    assert refused.json()["errors"][0]["loc"] == ["body", "headers", "X-A"]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.2/", "http://169.254.169.254/", "ftp://x.org/", "http://[::1]:8080/", "x"],
)
async def test_no_address_but_a_public_one_is_taken(client: Client, url: str) -> None:
    refused = await client.post("/api/v1/mcp-servers", json={"name": "x", "url": url})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "url"]


async def test_commands_and_sharing_are_for_admins(
    client: Client, other: Client, admin: Client
) -> None:
    command = {"name": "sh", "command": "mcp-shop", "args": ["-v"], "env": {"TOKEN": CANARY}}
    assert (await client.post("/api/v1/mcp-servers", json=command)).status_code == 403
    shared = {"name": "s", "url": "https://mcp.example.com", "is_public": True}
    assert (await client.post("/api/v1/mcp-servers", json=shared)).status_code == 403
    server = await make_server(
        admin, **{**command, "url": None, "name": f"sh-{new_id().hex}"}, is_public=True
    )
    assert server["env"] == {"TOKEN": MASK}
    check = await admin.post(server["_links"]["health_check"])
    assert (check.status_code, check.json()["code"]) == (409, "conflict")
    path = server["_links"]["self"]
    assert (await other.get(path)).json() == server
    assert (await other.patch(path, json={"name": "x"})).status_code == 403
    assert (await other.post(server["_links"]["health_check"])).status_code == 403


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, ["url"]),
        ({"url": "https://x.example.com", "command": "sh"}, ["url"]),
        ({"url": "https://x.example.com", "env": {"A": "b"}}, ["env"]),
        ({"url": "https://x.example.com", "headers": {"A b": "c"}}, ["headers", "A b", "[key]"]),
        ({"url": "https://x.example.com", "headers": {"A": "c\r\nB: d"}}, ["headers", "A"]),
        ({"url": "https://x.example.com", "headers": {"A": "ü"}}, ["headers", "A"]),
        ({"url": "https://x.example.com", "headers": {"Host": "y"}}, ["headers", "Host"]),
        ({"name": "a__b", "url": "https://x.example.com"}, ["name"]),
    ],
)
async def test_the_refusal_names_the_wrong_field(
    client: Client, body: dict[str, Any], where: list[str]
) -> None:
    refused = await client.post("/api/v1/mcp-servers", json={"name": "shop", **body})
    assert refused.status_code == 422
    assert ["body", *where] in [error["loc"] for error in refused.json()["errors"]]


async def test_servers_are_their_owners(client: Client, other: Client) -> None:
    server = await make_server(client)
    path = server["_links"]["self"]
    for refused in (
        await other.get(path),
        await other.patch(path, json={"name": "own"}),
        await other.delete(path),
        await other.post(server["_links"]["health_check"]),
    ):
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    tag = {"If-Match": (await client.get(path)).headers["etag"]}
    assert (await client.patch(path, json={"description": "x"}, headers=tag)).status_code == 200
    assert (await client.delete(path, headers=tag)).status_code == 412
    assert (await client.delete(path)).status_code == 204


def with_server(server: Any, **changed: Any) -> dict[str, Any]:
    options = {"mcp_servers": {"x": server}}
    return {**TASK, "name": new_id().hex, "sdk_options": options, **changed}


async def test_a_task_names_registered_servers(
    client: Client, other: Client, admin: Client
) -> None:
    own, public = await make_server(client), await make_server(admin, is_public=True)
    for server in (own, public):
        options = {"mcp_servers": {"x": {"ref": server["name"]}}}
        task = await make_task(client, sdk_options=options)
        assert task["sdk_options"] == options
    where = ["body", "sdk_options", "mcp_servers", "x", "ref"]
    for who, changed in ((other, {}), (client, {"is_public": True})):
        body = with_server({"ref": own["name"]}, **changed)
        refused = await who.post("/api/v1/tasks", json=body)
        assert refused.json()["errors"][0]["loc"] == where
    shared = with_server({"ref": public["name"]}, is_public=True)
    assert (await client.post("/api/v1/tasks", json=shared)).status_code == 201


@pytest.mark.parametrize(
    ("server", "where"),
    [
        (5, []),
        ({}, []),
        ({"url": "https://x.example.com", "ref": "y"}, []),
        ({"url": 5}, ["url"]),
        ({"url": "https://x.example.com", "command": "sh"}, []),
        ({"url": "http://10.0.0.1/"}, ["url"]),
        ({"url": "https://x.example.com", "token": "y"}, ["token"]),
        ({"url": "https://x.example.com", "headers": []}, ["headers"]),
        ({"url": "https://x.example.com", "headers": {"X-Team": 5}}, ["headers", "X-Team"]),
        (
            {"url": "https://x.example.com", "headers": {"Authorization": CANARY}},
            ["headers", "Authorization"],
        ),
    ],
)
async def test_an_inline_server_holds_no_secret(
    client: Client, server: Any, where: list[str]
) -> None:
    refused = await client.post("/api/v1/tasks", json=with_server(server))
    assert refused.status_code == 422
    loc = ["body", "sdk_options", "mcp_servers", "x", *where]
    assert loc in [error["loc"] for error in refused.json()["errors"]]
    assert CANARY not in refused.text


async def test_an_inline_server_may_refer_to_secrets(client: Client, admin: Client) -> None:
    headers = {"Authorization": "Bearer secret://shop", "X-Team": "blue"}
    fine = with_server({"type": "http", "url": "https://x.example.com", "headers": headers})
    assert (await client.post("/api/v1/tasks", json=fine)).status_code == 201
    command = with_server({"command": "mcp-shop"})
    assert (await client.post("/api/v1/tasks", json=command)).status_code == 403
    assert (await admin.post("/api/v1/tasks", json=command)).status_code == 201


URL = "https://x.example.com/mcp"
AUTH = {"type": "client_credentials", "client_id": "perdure", "secret": "secret://client"}
AUTH_HEADER = {"authorization": "Bearer secret://a"}
INTERNAL = "http://169.254.169.254/"


@pytest.mark.parametrize(
    "server",
    [
        {"type": "http", "url": URL},
        {"type": "streamable-http", "url": URL, "description": "The shop."},
        {"type": "streamableHttp", "url": URL, "headers": {"X-Team": "blue"}},
        {"type": None, "url": URL},
        {"url": URL, "auth": {**AUTH, "scope": "tools all", "issuer": "https://a.example.com/x"}},
    ],
)
async def test_both_places_accept_the_same_fields(client: Client, server: dict[str, Any]) -> None:
    inline = await client.post("/api/v1/tasks", json=with_server(server))
    assert inline.status_code == 201, inline.text
    assert inline.json()["sdk_options"]["mcp_servers"]["x"] == server
    registered = await make_server(client, **server)
    assert registered["url"] == URL
    changed = await client.patch(registered["_links"]["self"], json={"type": "http"})
    assert changed.status_code == 200, changed.text


SSE = "The transport sse is not supported"


@pytest.mark.parametrize(
    ("server", "where", "hint"),
    [
        ({"type": "sse", "url": URL}, ["type"], SSE),
        ({"type": "SSE", "url": URL}, ["type"], SSE),
        ({"type": "ws", "url": URL}, ["type"], "has the type 'http'"),
        ({"type": "stdio", "url": URL}, ["type"], "has the type 'http'"),
        ({"type": "http", "command": "sh"}, ["type"], "has the type 'stdio'"),
        ({"command": "sh", "args": ["-v", "${ROOT}/x"]}, ["args", 1], "write the value itself"),
        ({"command": "${HOME}/sh"}, ["command"], "write the value itself"),
        ({"command": "sh", "env": {"URL": "${URL}"}}, ["env", "URL"], "secret://name"),
        ({"command": "sh", "env": {"TOKEN": "${env:T}"}}, ["env", "TOKEN"], "secret://name"),
        ({"url": URL, "headers": {"X-Id": "a ${ID} b"}}, ["headers", "X-Id"], "secret://name"),
        ({"url": "https://${HOST}/mcp"}, ["url"], "${HOST} is not replaced"),
        ({"url": URL, "headers": {"Host": "x"}}, ["headers", "Host"], "sets this header itself"),
        ({"url": URL, "env": {"A": "b"}}, ["env"], "leave it out"),
        ({"command": "sh", "headers": {"A": "b"}}, ["headers"], "leave it out"),
        ({"command": "sh", "args": "-v"}, ["args"], "Enter a list."),
        ({"command": "sh", "auth": AUTH}, ["auth"], "leave it out"),
        ({"url": URL, "auth": {**AUTH, "secret": "plain"}}, ["auth", "secret"], "secret://NAME"),
        ({"url": URL, "auth": {**AUTH, "issuer": INTERNAL}}, ["auth", "issuer"], "not a public"),
        (
            {"url": URL, "auth": {**AUTH, "type": "password"}},
            ["auth", "type"],
            "client_credentials",
        ),
        ({"url": URL, "auth": AUTH, "headers": AUTH_HEADER}, ["headers", "authorization"], "token"),
        ({"command": "sh", "args": [5]}, ["args", 0], "valid string"),
        ({"url": URL, "disabled": True}, ["disabled"], "does not exist"),
        ({"url": URL, "_comment": "x"}, ["_comment"], "leave it out"),
    ],
)
async def test_both_places_refuse_the_same_fields(
    admin: Client, server: dict[str, Any], where: list[str | int], hint: str
) -> None:
    inline = await admin.post("/api/v1/tasks", json=with_server(server))
    registered = await admin.post("/api/v1/mcp-servers", json={"name": "shop", **server})
    inner = ["sdk_options", "mcp_servers", "x"]
    for response, place in ((inline, inner), (registered, [])):
        assert response.status_code == 422, response.text
        [problem] = response.json()["errors"]
        assert problem["loc"] == ["body", *place, *where]
        assert hint in problem["msg"]


@pytest.mark.parametrize(
    ("servers", "where", "hint"),
    [
        ({"_comment": "ours", "a": {"url": URL}}, "_comment", "'_comment' is not a server"),
        ({"mcpServers": {"a": {"url": URL}}}, "mcpServers", "Leave out the object 'mcpServers'"),
        ({"servers": {"a": {"url": URL}}}, "servers", "Leave out the object 'servers'"),
        ({"My Server": {"url": URL}}, "My Server", "such as 'my-server'"),
        ({"a__b": {"url": URL}}, "a__b", "such as 'a-b'"),
        ({"漢": {"url": URL}}, "漢", "lower-case letters"),
    ],
)
async def test_what_is_no_server_is_explained(
    client: Client, servers: dict[str, Any], where: str, hint: str
) -> None:
    body = {**TASK, "name": new_id().hex, "sdk_options": {"mcp_servers": servers}}
    refused = await client.post("/api/v1/tasks", json=body)
    assert refused.status_code == 422, refused.text
    [problem] = refused.json()["errors"]
    assert problem["loc"] == ["body", "sdk_options", "mcp_servers", where]
    assert hint in problem["msg"]


async def test_a_wrapper_is_not_registered(client: Client) -> None:
    refused = await client.post("/api/v1/mcp-servers", json={"mcpServers": {"a": {"url": URL}}})
    messages = [problem["msg"] for problem in refused.json()["errors"]]
    assert any("register each of the servers" in msg for msg in messages)
