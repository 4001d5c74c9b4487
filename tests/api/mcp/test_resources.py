from typing import Any
from uuid import UUID

import httpx2
import pytest
from mcp.shared.exceptions import MCPError
from mcp.types import (
    BlobResourceContents,
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from domain.ids import new_id
from persistence.tables.sessions import MessageRow
from tests.api.mcp.agents import ERAS, LEGACY, MODERN, connect
from tests.api.world import World, execute, give_session, make_task


async def store_message(world: World, session_id: UUID, execution: dict[str, Any]) -> None:
    content = (
        '[{"type": "text", "text": "Bonjour."},'
        ' {"type": "tool_use", "id": "a", "name": "bash", "input": {"command": "ls"}}]'
    )
    async with world.gateway.database.transaction() as session:
        row = MessageRow(
            session_id=session_id,
            execution_id=UUID(execution["id"]),
            seq=1,
            role="assistant",
            content=content,
        )
        session.add(row)


@pytest.mark.parametrize("mode", ERAS)
async def test_an_execution_and_its_transcript_are_read(
    world: World, client: httpx2.AsyncClient, mode: str
) -> None:
    execution = await execute(client, await make_task(client))
    await store_message(world, await give_session(world, execution), execution)
    uri = f"perdure://executions/{execution['id']}"
    async with connect(world, mode=mode) as agent:
        listed = (await agent.list_resources()).resources
        assert uri == listed[0].uri
        read = (await agent.read_resource(uri)).contents[0]
        transcript = (await agent.read_resource(f"{uri}/transcript")).contents[0]
        templates = (await agent.list_resource_templates()).resource_templates
    assert isinstance(read, TextResourceContents)
    assert '"status": "running"' in read.text
    assert isinstance(transcript, TextResourceContents)
    assert transcript.text.startswith(f"# {execution['title']}\n\n## assistant\n\nBonjour.\n")
    assert "Tool call `bash`" in transcript.text
    assert [template.name for template in templates] == [
        "execution",
        "transcript",
        "report",
        "artifact",
    ]


async def test_files_are_text_or_bytes(world: World, client: httpx2.AsyncClient) -> None:
    text = await client.post("/api/v1/artifacts", json={"name": "a.txt", "content": "é"})
    data = await client.post("/api/v1/artifacts", json={"name": "a", "content_base64": "AAE="})
    async with connect(world) as agent:
        read = [
            (await agent.read_resource(f"perdure://artifacts/{made.json()['id']}")).contents[0]
            for made in (text, data)
        ]
    assert isinstance(read[0], TextResourceContents)
    assert read[0].text == "é"
    assert isinstance(read[1], BlobResourceContents)
    assert read[1].blob == "AAE="


@pytest.mark.parametrize(("mode", "code"), [(MODERN, -32602), (LEGACY, -32002)])
async def test_other_users_resources_do_not_exist(
    world: World, client: httpx2.AsyncClient, mode: str, code: int
) -> None:
    execution = await execute(client, await make_task(client))
    paths = (f"executions/{execution['id']}", f"executions/{execution['id']}/report")
    async with connect(world, "bob", mode=mode) as agent:
        for path in (*paths, f"executions/{execution['id']}/transcript", "else"):
            with pytest.raises(MCPError) as refused:
                await agent.read_resource(f"perdure://{path}")
            assert refused.value.error.code == code
        listed = (await agent.list_resources()).resources
    assert not [one for one in listed if execution["id"] in one.uri]


@pytest.mark.parametrize("mode", ERAS)
async def test_a_public_task_is_a_prompt(
    world: World, client: httpx2.AsyncClient, mode: str
) -> None:
    name = f"public é {new_id()}"
    schema = {"type": "object", "properties": {"tongue": {"enum": ["French", "Finnish"]}}}
    await make_task(client, name=name, is_public=True, variables_schema=schema)
    async with connect(world, "bob", mode=mode) as agent:
        prompts = (await agent.list_prompts()).prompts
        (prompt,) = [one for one in prompts if one.name == name]
        assert [(one.name, one.required) for one in prompt.arguments or []] == [
            ("name", True),
            ("tongue", False),
        ]
        got = await agent.get_prompt(name, {"name": "Ada"})
        assert isinstance(got.messages[0].content, TextContent)
        assert got.messages[0].content.text == "Say hello to Ada in French."
        with pytest.raises(MCPError, match="Missing required arguments: name"):
            await agent.get_prompt(name, {})
        with pytest.raises(MCPError, match="does not exist"):
            await agent.get_prompt("no such task", {})
        found = await agent.complete(PromptReference(name=name), {"name": "tongue", "value": "fi"})
    assert found.completion.values == ["Finnish"]


async def test_ids_of_executions_are_completed(world: World, client: httpx2.AsyncClient) -> None:
    execution = await execute(client, await make_task(client))
    reference = ResourceTemplateReference(uri="perdure://executions/{id}/transcript")
    async with connect(world) as agent:
        found = await agent.complete(reference, {"name": "id", "value": execution["id"][:20]})
    assert execution["id"] in found.completion.values
