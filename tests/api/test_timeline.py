import json
from dataclasses import asdict
from decimal import Decimal
from uuid import UUID

import httpx2
import pytest

from domain.web.connections import NO_CONNECTIONS, Connection
from persistence.tables.sessions import MessageRow, ModelCallRow, ReportRow, ToolCallRow
from tests.api.world import World, execute, give_session, make_task

Client = httpx2.AsyncClient
SHA = bytes(32)
# Earlier versions stored lone surrogates, also in keys.
BLOCKS = [{"type": "text", "text": "odd: \ud800 \0", "\udfff": 1}]
SHOWN_BLOCKS = [{"type": "text", "text": "odd: \ufffd \0", "\ufffd": 1}]


LOG = NO_CONNECTIONS.with_connections(
    [Connection("a.example", 443, "allowed", address="93.184.215.14", sent_bytes=7)]
)
SHOWN_LOG = {"connections": [asdict(LOG.connections[0])]}


async def store_turns(world: World, execution_id: UUID, session_id: UUID) -> None:
    """Three messages, three model calls and three tool calls of an execution."""
    async with world.gateway.database.transaction() as session:
        for seq in (1, 2, 3):
            message = MessageRow(
                session_id=session_id,
                execution_id=execution_id,
                seq=seq,
                role="assistant" if seq % 2 == 0 else "user",
                content=json.dumps(BLOCKS),
                cost_usd=Decimal("0.0125"),
            )
            call = ModelCallRow(
                execution_id=execution_id,
                turn=seq,
                try_number=1,
                status="succeeded",
                model="m",
                max_tokens=1,
                last_message_seq=seq,
                request_sha256=SHA,
            )
            tool = ToolCallRow(
                execution_id=execution_id,
                turn=1,
                position=seq,
                tool_use_id=f"t{seq}",
                name="read_file",
                input='{"b": 1, "a": 2, "\\ud800": 3}',
                approved_input='{"\\ud800": "\\udfff"}',
                input_sha256=SHA,
                effect="read_only",
                status="succeeded",
                connections=LOG.as_json() if seq == 1 else None,
            )
            session.add_all([message, call, tool])


async def test_messages_and_calls_are_listed_in_order(
    world: World, client: Client, other: Client
) -> None:
    execution = await execute(client, await make_task(client))
    session_id = await give_session(world, execution)
    await store_turns(world, UUID(execution["id"]), session_id)
    path = execution["_links"]["self"]
    messages = (await client.get(f"{path}/messages")).json()
    assert [m["seq"] for m in messages["items"]] == [1, 2, 3]
    assert messages["items"][0]["content"] == SHOWN_BLOCKS
    assert messages["items"][0]["cost_usd"] == 0.0125
    tools = (await client.get(f"{path}/tool-calls?page_size=2")).json()
    assert [t["position"] for t in tools["items"]] == [1, 2]
    assert list(tools["items"][0]["input"]) == ["b", "a", "\ufffd"]
    assert tools["items"][0]["approved_input"] == {"\ufffd": "\ufffd"}
    assert [t["connections"] for t in tools["items"]] == [LOG.as_json() | SHOWN_LOG, None]
    rest = (await client.get(tools["_links"]["next"])).json()
    assert ([t["position"] for t in rest["items"]], rest["next_cursor"]) == ([3], None)
    calls = (await client.get(f"{path}/model-calls")).json()
    assert ([c["turn"] for c in calls["items"]], calls["total"]) == ([1, 2, 3], 3)
    for name in ("messages", "tool-calls", "model-calls", "events", "children", "artifacts"):
        assert (await other.get(f"{path}/{name}")).status_code == 403

    conversation = f"/api/v1/sessions/{session_id}"
    read = (await client.get(conversation)).json()
    assert read["name"] == "Task: greet (manual)"
    latest = (await client.get(f"{conversation}/messages?limit=2")).json()
    assert [m["seq"] for m in latest["items"]] == [2, 3]
    listed = (await client.get("/api/v1/sessions")).json()
    assert read in listed["items"]
    assert (await other.get(conversation)).status_code == 403
    assert (await client.get(f"{conversation}/messages?limit=0")).status_code == 422


async def test_the_report_of_an_execution_is_read(world: World, client: Client) -> None:
    execution = await execute(client, await make_task(client))
    path = f"{execution['_links']['self']}/report"
    missing = await client.get(path)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    async with world.gateway.database.transaction() as session:
        session.add(
            ReportRow(
                user_id=UUID(execution["user_id"]),
                execution_id=UUID(execution["id"]),
                title="greet",
                format="html",
                content={"summary": "All is well."},
            )
        )
    assert (await client.get(path)).json()["content"] == {"summary": "All is well."}
    rendered = await client.get(f"{path}?format=json")
    assert rendered.json() == {"summary": "All is well."}
    assert "sandbox" in rendered.headers["content-security-policy"]
    unknown = await client.get(f"{path}?format=docx")
    assert (unknown.status_code, unknown.json()["errors"][0]["loc"]) == (422, ["query", "format"])


@pytest.mark.parametrize("sent", ['{"command": "ls', "[" * 9999, '{"a":' * 300 + "1" + "}" * 300])
async def test_an_invalid_json_tool_input_is_shown_as_text(
    world: World, client: Client, sent: str
) -> None:
    execution = await execute(client, await make_task(client))
    async with world.gateway.database.transaction() as session:
        session.add(
            ToolCallRow(
                execution_id=UUID(execution["id"]),
                turn=1,
                position=0,
                tool_use_id="t1",
                name="bash",
                input=sent,
                input_sha256=SHA,
                effect="read_only",
                status="failed",
            )
        )
    listed = await client.get(execution["_links"]["tool_calls"])
    assert (listed.status_code, listed.json()["items"][0]["input"]) == (200, sent)
