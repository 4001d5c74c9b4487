import asyncio
import json
import threading
from datetime import timedelta
from typing import Any

import anyio
import httpx2
import pytest
from mcp.server.caching import CacheableMethod
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.request_state import AESGCMRequestStateCodec, InvalidRequestState
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ElicitRequestFormParams,
    ElicitResult,
    ListToolsResult,
    TextContent,
    Tool,
)
from pydantic import ValidationError
from sqlalchemy import text
from starlette.routing import Route

from api.http.bodies import MOST_VALUES, read_model
from api.http.large_bodies import LARGE_BYTES
from api.main import create_app
from api.mcp import registry
from api.mcp.catalogue import CATALOGUE
from api.mcp.endpoint import McpEndpoint
from api.mcp.lazy_endpoint import LazyMcpEndpoint
from api.mcp.legacy_sessions import LONGEST_ID, make_session_id
from api.mcp.resource_metadata import PATH
from api.mcp.server import CACHE_HINTS
from api.mcp.state_keys import derive_state_keys
from cli.stack.addresses import free_port
from cli.tokens import mint
from domain.ids import new_id
from runtime.settings import Settings
from tests.api.conftest import serve_app, settings_of
from tests.api.mcp.agents import LEGACY, MODERN, connect
from tests.api.world import SECRET, World, make_task
from tests.waiting import WITHIN_SECONDS

META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
BOTH = "application/json, text/event-stream"


def token_of(user: str = "alice") -> str:
    return mint(SECRET, user=user, role="user", lives=timedelta(hours=1))


def modern(method: str, **params: Any) -> dict[str, Any]:
    """A request of the newest revision."""
    content = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": META}}
    headers = {"Accept": BOTH, "MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    if "name" in params:
        headers["Mcp-Name"] = params["name"]
    return {"json": content, "headers": headers}


def handshake() -> dict[str, Any]:
    """The first request of an older revision."""
    params = {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "tests", "version": "1"},
    }
    content = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}
    return {"json": content, "headers": {"Accept": BOTH}}


async def test_the_server_is_discovered_without_a_database(temporal_address: str) -> None:
    url = f"postgresql://u:p@127.0.0.1:{free_port()}/none"
    app = create_app(settings_of(url, temporal_address, rate_limit="1/day"))
    async with serve_app(app) as address, httpx2.AsyncClient(base_url=address) as http:
        refused = await http.post("/mcp", **modern("server/discover"))
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
        for token in (token_of(), "pdk_" + "a" * 43):
            http.headers["Authorization"] = f"Bearer {token}"
            for _ in range(3):
                found = await http.post("/mcp", **modern("server/discover"))
                assert found.status_code == 200, found.text
            result = found.json()["result"]
            assert result["supportedVersions"] == [MODERN]
            assert "tools" in result["capabilities"]
            assert result["ttlMs"] > 0
        http.headers["Authorization"] = "Bearer pdk_unknown"
        for request in (handshake(), modern("tools/list")):
            failed = await http.post("/mcp", **request)
            assert failed.status_code == 503, failed.text
        # The header of a discovery gives no access to other methods, in any revision.
        other = modern("tools/list")
        other["headers"]["Mcp-Method"] = "server/discover"
        assert (await http.post("/mcp", **other)).status_code == 400
        older = handshake()
        older["headers"]["Mcp-Method"] = "server/discover"
        assert (await http.post("/mcp", **older)).status_code == 503


async def test_the_server_is_loaded_without_a_request() -> None:
    """Claude Code gives the first request 5 s, and then uses an older revision."""
    endpoint = LazyMcpEndpoint(Settings(), version="1")
    async with endpoint.running(), asyncio.timeout(WITHIN_SECONDS):
        assert isinstance(await asyncio.shield(endpoint._loaded), McpEndpoint)


async def test_requests_pass_the_middleware_of_the_gateway(world: World) -> None:
    async with world.client("alice") as http:
        http.headers["X-Request-ID"] = request_id = str(new_id())
        listed = await http.post("/mcp", **modern("tools/list"))
        assert listed.headers["x-request-id"] == request_id
        assert listed.headers["x-content-type-options"] == "nosniff"
        assert listed.json()["result"]["cacheScope"] == "public"
        evil = modern("tools/list")
        evil["headers"]["Origin"] = "https://evil.example"
        assert (await http.post("/mcp", **evil)).json()["code"] == "origin_refused"
        renamed = modern("tools/list")
        renamed["headers"]["Host"] = "evil.example"
        assert (await http.post("/mcp", **renamed)).json()["code"] == "host_refused"
        assert (await http.get("/mcp")).status_code == 405
        assert (await http.delete("/mcp")).headers["allow"] == "POST"
        large = modern("tools/call", name="list_tasks", arguments={"q": "a" * 7_000_000})
        assert (await http.post("/mcp", **large)).json()["code"] == "payload_too_large"
        metrics = (await http.get("/metrics")).text
    assert 'perdure_http_requests_total{method="POST",route="/mcp",status="200"}' in metrics


async def test_large_arguments_are_read_in_a_thread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop handles other requests meanwhile."""
    threads = []

    def read(model: type[Any], raw: bytes, **options: Any) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return read_model(model, raw, **options)

    monkeypatch.setattr(registry, "read_model", read)
    async with world.client("alice") as http:
        for text in ("a", "a" * LARGE_BYTES):
            call = modern("tools/call", name="list_tasks", arguments={"q": text})
            assert (await http.post("/mcp", **call)).status_code == 200
        many = modern("tools/call", name="list_tasks", arguments={"q": [{}] * MOST_VALUES})
        for request in (many, {**many, "headers": {"Accept": BOTH}}):
            refused = await http.post("/mcp", **request)
            assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
    assert threads == [True, False]


async def test_groups_are_chosen_by_the_url(world: World) -> None:
    async with world.client("alice") as http:
        refused = await http.post("/mcp?groups=memory,memoir", **modern("tools/list"))
        assert refused.status_code == 422
        assert "'memoir'" in refused.json()["errors"][0]["msg"]
        every = (await http.post("/mcp?groups=all", **modern("tools/list"))).json()["result"]
        default = (await http.post("/mcp", **modern("tools/list"))).json()["result"]
        paged = await http.post("/mcp", **modern("tools/list", cursor="1"))
        assert "cursor is invalid" in paged.json()["error"]["message"]
    names = [tool["name"] for tool in every["tools"]]
    assert names == [tool.name for tool in CATALOGUE.list_tools(frozenset(CATALOGUE.groups))]
    assert [tool["name"] for tool in default["tools"]] == [
        tool.name for tool in CATALOGUE.list_tools(frozenset({"default"}))
    ]


async def test_the_operator_chooses_the_default_groups(
    database_url: str, temporal_address: str
) -> None:
    app = create_app(settings_of(database_url, temporal_address, mcp_groups="tasks"))
    async with serve_app(app) as url, httpx2.AsyncClient(base_url=url) as http:
        http.headers["Authorization"] = f"Bearer {token_of()}"
        listed = (await http.post("/mcp", **modern("tools/list"))).json()["result"]
    assert {"execute_task", "delete_task"} <= {tool["name"] for tool in listed["tools"]}
    with pytest.raises(ValidationError, match="'memory'"):
        Settings.model_validate({"mcp_groups": "tasks,memoir"})


@pytest.mark.parametrize("method", sorted(CACHE_HINTS.keys() - {"resources/read"}))
async def test_lists_say_how_long_they_are_valid(world: World, method: CacheableMethod) -> None:
    async with world.client("alice") as http:
        answer = (await http.post("/mcp", **modern(method))).json()
    hint = CACHE_HINTS[method]
    assert (answer["result"]["ttlMs"], answer["result"]["cacheScope"]) == (hint.ttl_ms, hint.scope)


async def test_older_revisions_get_a_session_that_any_gateway_knows(world: World) -> None:
    async with world.client("alice") as http:
        begun = await http.post("/mcp", **handshake())
        assert begun.json()["result"]["protocolVersion"] == "2025-11-25"
        session = begun.headers["mcp-session-id"]
        headers = {"Accept": BOTH, "Mcp-Session-Id": session, "MCP-Protocol-Version": "2025-11-25"}
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert (await http.post("/mcp", json=initialized, headers=headers)).status_code == 202
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        listed = await http.post("/mcp", json=listing, headers=headers)
        assert "execute_task" in listed.text
        for content in ("{", "[]", '{"id": 1}'):
            broken = await http.post(
                "/mcp", content=content, headers={**headers, "Content-Type": "application/json"}
            )
            assert broken.status_code == 400, broken.text
        only_json = {**headers, "Accept": "application/json"}
        assert (await http.post("/mcp", json=listing, headers=only_json)).status_code == 406
    assert make_session_id({"clientInfo": {"name": "a" * LONGEST_ID}}) is None


async def test_an_open_stream_ends_with_its_credentials(world: World) -> None:
    async with world.client("alice") as http:
        key = (await http.post("/api/v1/api-keys", json={"name": str(new_id())})).json()
        async with (
            connect(world, token=key["secret"]) as client,
            client.listen(tools_list_changed=True) as events,
        ):
            assert events.honored.tools_list_changed
            assert (await http.delete(key["_links"]["self"])).status_code == 204
            with anyio.fail_after(30):
                assert [event async for event in events] == []


@pytest.fixture
def asking_server() -> Server[Any]:
    """A server with one tool, which asks the client."""

    async def list_tools(_: ServerRequestContext[Any, Any], __: object) -> ListToolsResult:
        return ListToolsResult(tools=[Tool(name="ask", input_schema={"type": "object"})])

    async def call_tool(
        ctx: ServerRequestContext[Any, Any], _: CallToolRequestParams
    ) -> CallToolResult:
        capabilities = ctx.session.client_capabilities
        assert capabilities is not None
        assert capabilities.elicitation is not None
        answer = await ctx.session.elicit_form(
            "Colour?", {"type": "object", "properties": {}}, related_request_id=ctx.request_id
        )
        return CallToolResult(content=[TextContent(text=json.dumps(answer.content))])

    return Server("asking", on_list_tools=list_tools, on_call_tool=call_tool)


async def test_a_call_of_an_older_revision_can_ask_the_client(
    world: World, asking_server: Server[Any]
) -> None:
    endpoint = McpEndpoint(asking_server, body_limit_bytes=1_000_000)
    app = create_app(world.gateway.settings)
    app.router.routes.insert(0, Route(PATH, endpoint, methods=["POST"]))

    async def answer(_: object, params: object) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        return ElicitResult(action="accept", content={"colour": "blue"})

    async with endpoint.running(), serve_app(app) as url:
        other = World(url, app.state.gateway)
        async with connect(other, mode=LEGACY, elicitation_callback=answer) as client:
            with anyio.fail_after(30):
                result = await client.call_tool("ask", {})
    assert isinstance(result, CallToolResult)
    assert isinstance(result.content[0], TextContent)
    assert json.loads(result.content[0].text) == {"colour": "blue"}


async def test_clients_find_the_issuer_of_tokens(
    world: World, database_url: str, temporal_address: str
) -> None:
    async with world.client("alice") as http:
        assert (await http.get("/.well-known/oauth-protected-resource")).status_code == 404
    settings = settings_of(
        database_url,
        temporal_address,
        public_url="https://perdure.example",
        mcp_authorization_servers="https://login.example",
        mcp_oauth_scopes="openid,perdure",
    )
    async with (
        serve_app(create_app(settings)) as address,
        httpx2.AsyncClient(base_url=address) as http,
    ):
        for request in (modern("server/discover"), modern("tools/list"), handshake()):
            refused = await http.post("/mcp", **request)
            assert refused.status_code == 401
            challenge = refused.headers["www-authenticate"]
            where = "https://perdure.example/.well-known/oauth-protected-resource/mcp"
            assert challenge == f'Bearer resource_metadata="{where}", scope="openid perdure"'
        for path in ("", "/mcp"):
            found = await http.get(f"/.well-known/oauth-protected-resource{path}")
            assert found.json()["resource"] == "https://perdure.example/mcp"
            assert found.json()["authorization_servers"] == ["https://login.example"]
            assert found.json()["scopes_supported"] == ["openid", "perdure"]


async def test_a_handshake_fails_while_the_database_cannot_write(
    database_url: str, temporal_address: str
) -> None:
    app = create_app(settings_of(database_url, temporal_address))
    headers = {"Authorization": f"Bearer {token_of()}"}
    async with (
        serve_app(app) as address,
        httpx2.AsyncClient(base_url=address, headers=headers) as http,
    ):
        assert "result" in (await http.post("/mcp", **handshake())).json()
        database = app.state.gateway.database
        async with database.transaction() as session:
            name = await session.scalar(text("SELECT current_database()"))
            alter = f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
            await session.execute(text(alter))
        await database.engine.dispose()
        app.state.gateway.write_check._checked_at -= 60
        refused = (await http.post("/mcp", **handshake())).json()
        assert "not ready" in refused["error"]["message"]
        assert "result" in (await http.post("/mcp", **modern("server/discover"))).json()
        async with database.transaction() as session:
            await session.execute(text("SET TRANSACTION READ WRITE"))
            await session.execute(text(f'ALTER DATABASE "{name}" RESET ALL'))


async def test_a_client_of_an_older_revision_cancels_only_its_own_call(world: World) -> None:
    params = {"requestId": 7}
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}
    async with world.client("alice") as http:
        task = await make_task(http)
        begun = await http.post("/mcp", **handshake())
        with_session = {"Accept": BOTH, "Mcp-Session-Id": begun.headers["mcp-session-id"]}
        # Without a session, the server can't know whose request 7 is meant.
        without = {"Accept": BOTH}
        other = asyncio.create_task(_execute(http, task["id"], without))
        own = asyncio.create_task(_execute(http, task["id"], with_session))
        while len((await http.get(task["_links"]["executions"])).json()["items"]) < 2:
            assert not own.done()
        for headers in (without, with_session):
            assert (await http.post("/mcp", json=cancel, headers=headers)).status_code == 202
        answer = (await asyncio.wait_for(own, 30)).json()
        assert answer["error"]["message"] == "The request was cancelled"
        assert not other.done()
        other.cancel()
        executions = (await http.get(task["_links"]["executions"])).json()["items"]
    assert [one["cancel_requested_at"] for one in executions] == [None, None]


async def _execute(
    http: httpx2.AsyncClient, task_id: str, headers: dict[str, str]
) -> httpx2.Response:
    params = {"name": "execute_task", "arguments": {"task": task_id}}
    content = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
    return await http.post("/mcp", json=content, headers=headers)


def test_gateways_with_the_same_keys_read_each_others_state() -> None:
    def codec(**given: str) -> AESGCMRequestStateCodec:
        settings = Settings.model_validate({"jwt_secret": SECRET, **given})
        return AESGCMRequestStateCodec(derive_state_keys(settings))

    old, new = "an old key of the tests that is long", "a new key of the tests that is long"
    sealed = codec(secrets_key=old).seal(b"state")
    assert codec(secrets_key=f"{new},{old}").unseal(sealed) == b"state"
    assert codec().unseal(codec().seal(b"state")) == b"state"
    for other in (codec(secrets_key=new), codec()):
        with pytest.raises(InvalidRequestState):
            other.unseal(sealed)


async def test_pages_of_allowed_origins_use_the_server(
    database_url: str, temporal_address: str
) -> None:
    origin = "https://inspector.example"
    app = create_app(settings_of(database_url, temporal_address, cors_origins=origin))
    async with serve_app(app) as url, httpx2.AsyncClient(base_url=url) as http:
        asked = "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version,mcp-session-id"
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": asked,
        }
        allowed = await http.options("/mcp", headers=headers)
        assert allowed.status_code == 200
        request = handshake()
        request["headers"] |= {"Origin": origin, "Authorization": f"Bearer {token_of()}"}
        answered = await http.post("/mcp", **request)
    assert answered.headers["access-control-allow-origin"] == origin
    assert "Mcp-Session-Id" in answered.headers["access-control-expose-headers"]
