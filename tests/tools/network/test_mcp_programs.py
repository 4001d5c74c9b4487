"""An MCP server that is a program has the network of the execution."""

from uuid import UUID

from domain.ids import new_id
from domain.mcp.servers import ResolvedServer
from domain.mcp.tools import PinnedTool, RemoteCall, RemoteScope, pin
from domain.rules.permissions import Permissions
from domain.tools.calls import ProcessIdentity, ToolProgress
from domain.web.network import NetworkList
from runtime.outbound import Outbound
from tests.runtime.receiver import answer, receiving
from tests.tools.network.conftest import Connect
from tools.mcp.attempts import McpTools
from tools.mcp.settings import McpSettings

PROGRAM = """
import json, sys, urllib.request
for line in sys.stdin:
    asked = json.loads(line)
    if asked["method"] == "initialize":
        version = asked["params"]["protocolVersion"]
        result = {"protocolVersion": version, "capabilities": {"tools": {}},
                  "serverInfo": {"name": "reader", "version": "1"}}
    elif asked["method"] == "tools/list":
        result = {"tools": [{"name": "read", "inputSchema": {"type": "object"}}]}
    elif asked["method"] == "tools/call":
        try: text = urllib.request.urlopen(asked["params"]["arguments"]["url"]).read().decode()
        except OSError as error: text = str(error)
        result = {"content": [{"type": "text", "text": text}]}
    elif "id" not in asked: continue
    else:
        error = {"code": -32601, "message": "not found"}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": error}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


async def resolve(scope: RemoteScope, key: str, server_id: UUID | None) -> ResolvedServer:
    del scope, server_id
    return ResolvedServer(key, command="python3", args=("-c", PROGRAM))


async def on_started(_: ProcessIdentity | None) -> None:
    """Record nothing."""


def on_progress(_: ToolProgress) -> None:
    """Record nothing."""


async def test_each_call_has_the_connections_of_its_program(connect: Connect) -> None:
    outbound = Outbound()
    async with receiving(answer(200, b"hello")) as allowed, receiving() as other:
        calls = connect(f"localhost:{allowed.port}")
        used = McpSettings(calls.toolbox, resolve, outbound.open_client, outbound.send)
        mcp = McpTools(used)
        network = NetworkList.parse([f"localhost:{allowed.port}"])
        scope = RemoteScope(new_id(), new_id(), new_id(), {"reader": {}}, network=network)
        async with mcp.attempt() as attempt:
            [tool] = pin(await attempt.list_tools(scope), Permissions(allowed=["*"])).tools

            async def read(port: int, tool: PinnedTool = tool) -> tuple[str, list[str]]:
                url = {"url": f"http://localhost:{port}/"}
                call = RemoteCall(scope, tool, "toolu_1", url)
                outcome = await attempt.run(call, on_started=on_started, on_progress=on_progress)
                return outcome.text, [c.verdict for c in outcome.connections.connections]

            text, verdicts = await read(allowed.port)
            assert "hello" in text
            assert verdicts == ["allowed"]
            text, verdicts = await read(other.port)
            assert "403" in text
            assert verdicts == ["refused"]
        assert not other.received
        await mcp.close()
    await outbound.aclose()
