"""One of everything a route can name, made the way users make it, for tests that walk all routes.

A new route needs: its resource's factory here if it is a new resource (the values of the path's
parameters), and a body that it takes.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx2

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import NotificationRow
from persistence.tables.sessions import ArtifactRow
from reports.compose import compose_json
from services.reports import store_report
from tests.api.world import APPROVAL, TASK, World, ask, execute, give_session, make_task
from tests.reports.execution_builder import start_execution

Client = httpx2.AsyncClient
Parameters = dict[str, str]
"""Values of a path's parameters by their names."""

API = "/api/v1"
PROMPT = {"prompt": "Say hello.", "allowed_tools": [], "sdk_options": {}}
GROUP = {"name": "readers", "tools": ["read_file"]}
SPAN = {"start_at": "2026-11-01T00:00:00Z", "end_at": "2026-11-01T01:00:00Z"}
TEMPLATE = {
    "name": "greetings",
    "parameters": [{"name": "name"}],
    "task": {"prompt_template": "Greet {{ name }}."},
}
SERVER = {"name": "shop", "url": "https://mcp.example.com/mcp"}
PLAN = {"title": "Look", "steps": [{"key": "look", "prompt": "Look around."}]}
AGENT = {"name": "Poet", "system_prompt": "You write in rhyme."}


async def task(world: World, client: Client, mark: str) -> Parameters:
    """A task and what hangs on it."""
    del world
    made = await make_task(client, name=f"{mark} {new_id()}", description=mark)
    hook = await _make(client, f"tasks/{made['id']}/hooks", {"name": mark})
    return {"task_id": made["id"], "version": "1", "hook_id": hook}


async def execution(world: World, client: Client, mark: str) -> Parameters:
    """A running execution in its session."""
    del world
    body = {**PROMPT, "title": mark, "variables": {"mark": mark}}
    response = await client.post(f"{API}/task-executions", json=body)
    assert response.status_code == 202, response.text
    return {"execution_id": response.json()["id"]}


async def conversation(world: World, client: Client, mark: str) -> Parameters:
    """A session with its execution."""
    made = await execution(world, client, mark)
    return {"session_id": str(await give_session(world, {"id": made["execution_id"]}))}


async def input_request(world: World, client: Client, mark: str) -> Parameters:
    """An open question of a running execution."""
    made = await execute(client, await make_task(client, name=f"{mark} {new_id()}"))
    await give_session(world, made, "waiting_for_user")
    return {"request_id": await ask(world, made, title=mark)}


async def remembered_decision(world: World, client: Client, mark: str) -> Parameters:
    """An approval that is remembered for its task."""
    made = await execute(client, await make_task(client, name=f"{mark} {new_id()}"))
    await give_session(world, made, "waiting_for_user")
    request_id = await ask(world, made, **APPROVAL, reach_sha256=b"reach")
    body = {"decision": "approve", "remember": "task", "message": mark}
    answer = await client.post(f"{API}/input-requests/{request_id}/answer", json=body)
    assert answer.status_code == 200, answer.text
    query = {"task_id": made["task_id"]}
    [rule] = (await client.get(f"{API}/remembered-decisions", params=query)).json()["items"]
    return {"rule_id": rule["id"]}


async def inbox_view(world: World, client: Client, mark: str) -> Parameters:
    """A saved view of the inbox."""
    del world
    name = f"v{new_id().hex}"
    response = await client.put(f"{API}/inbox-views/{name}", json={"assignee": mark})
    assert response.status_code == 201, response.text
    return {"name": name}


async def group(world: World, client: Client, mark: str) -> Parameters:
    """A group, which an admin makes."""
    del client
    async with world.client("admin of groups", role="admin") as admin:
        body = {"name": f"g{new_id().hex}", "description": mark}
        return {"group_id": await _make(admin, "groups", body)}


async def artifact(world: World, client: Client, mark: str) -> Parameters:
    """A kept file of an execution."""
    made = await execution(world, client, mark)
    stored = await world.gateway.services.blobs.add(mark.encode())
    async with world.gateway.database.transaction() as session:
        owner = await session.get_one(ExecutionRow, UUID(made["execution_id"]))
        row = ArtifactRow(
            user_id=owner.user_id,
            execution_id=owner.id,
            kind="artifact",
            name=mark,
            media_type="text/plain",
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
        )
        session.add(row)
    return {"artifact_id": str(row.id)}


async def report(world: World, client: Client, mark: str) -> Parameters:
    """A stored report of a finished execution."""
    owner = UUID((await client.get(f"{API}/me")).json()["id"])
    async with world.gateway.database.transaction() as session:
        builder = await start_execution(session, user_id=owner, title=mark)
        await builder.add_user_message(mark)
        await builder.add_answer(mark)
    await store_report(world.gateway.database, builder.row.id, compose_json)
    stored = await client.get(f"{API}/task-executions/{builder.row.id}/report")
    return {"report_id": stored.json()["id"]}


async def agent(world: World, client: Client, mark: str) -> Parameters:
    """A specialist of the user's own."""
    del world
    body = {**AGENT, "agent_id": f"poet-{new_id().hex}", "description": mark}
    return {"agent_id": await _make(client, "agents", body, "agent_id")}


async def tool_group(world: World, client: Client, mark: str) -> Parameters:
    """A list of tool rules."""
    del world
    body = {**GROUP, "name": f"group-{new_id().hex}", "description": mark}
    made = await _make(client, "tool-groups", body)
    return {"group_id": made, "tool_group_id": made}


async def task_template(world: World, client: Client, mark: str) -> Parameters:
    """A template."""
    del world
    body = {**TEMPLATE, "name": f"template {new_id()}", "description": mark}
    return {"template_id": await _make(client, "task-templates", body)}


async def mcp_server(world: World, client: Client, mark: str) -> Parameters:
    """A registered server."""
    del world
    body = {**SERVER, "name": f"shop-{new_id().hex}", "description": mark}
    return {"server_id": await _make(client, "mcp-servers", body)}


async def secret(world: World, client: Client, mark: str) -> Parameters:
    """A secret."""
    del world
    name = f"s{new_id().hex}"
    response = await client.put(f"{API}/secrets/{name}", json={"value": mark})
    assert response.status_code == 201, response.text
    return {"name": name}


async def api_key(world: World, client: Client, mark: str) -> Parameters:
    """A key."""
    del world
    return {"key_id": await _make(client, "api-keys", {"name": f"{mark} {new_id()}"})}


async def audit_row(world: World, client: Client, mark: str) -> Parameters:
    """An entry of the audit log about a task."""
    made = await task(world, client, mark)
    found = await client.get(f"{API}/audit-logs", params={"entity_id": made["task_id"]})
    return {"audit_id": found.json()["items"][0]["id"]}


async def notification(world: World, client: Client, mark: str) -> Parameters:
    """One that was given up."""
    owner = UUID((await client.get(f"{API}/me")).json()["id"])
    notification_id = new_id()
    async with world.gateway.database.transaction() as session:
        row = NotificationRow(
            id=notification_id,
            message_id=notification_id,
            user_id=owner,
            type="execution.completed",
            kind="slack",
            position=0,
            target={"url": f"https://hooks.example.com/{mark}"},
            status="failed",
            error=mark,
        )
        session.add(row)
    return {"notification_id": str(notification_id)}


async def plan(world: World, client: Client, mark: str) -> Parameters:
    """A draft of a plan."""
    del world
    return {"plan_id": await _make(client, "plans", {**PLAN, "title": mark}), "key": "look"}


async def memory_entry(world: World, client: Client, mark: str) -> Parameters:
    """A memory entry."""
    del world
    namespace, key = f"user:{new_id().hex}", new_id().hex
    response = await client.put(f"{API}/memory/{namespace}/{key}", json={"value": mark})
    assert response.status_code == 201, response.text
    return {"namespace": namespace, "key": key}


async def memory_grant(world: World, client: Client, mark: str) -> Parameters:
    """A grant to another user."""
    del mark
    async with world.client("reader") as reader:
        await reader.get(f"{API}/me")
    body = {"namespace": f"user:{new_id().hex}", "grantee": "reader"}
    return {"grant_id": await _make(client, "memory-grants", body)}


async def user(world: World, client: Client, mark: str) -> Parameters:
    """Who asks."""
    del world, mark
    return {"user_id": (await client.get(f"{API}/me")).json()["id"]}


async def _make(client: Client, resource: str, body: dict[str, Any], field: str = "id") -> str:
    response = await client.post(f"{API}/{resource}", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()[field])


async def claim_work(world: World, client: Client, mark: str) -> Parameters:
    """An external execution that a worker has."""
    del world
    body = {"prompt": mark, "title": mark, "executor": "external"}
    response = await client.post(f"{API}/task-executions", json=body)
    assert response.status_code == 202, response.text
    work = {"execution_id": response.json()["id"], "lease_seconds": 3600}
    claim = await client.post(f"{API}/queue/claim", json=work)
    assert claim.status_code == 200, claim.text
    LEASES[claim.json()["id"]] = claim.json()["lease_token"]
    return {"execution_id": claim.json()["id"]}


FACTORIES: dict[str, Callable[[World, Client, str], Awaitable[Parameters]]] = {
    "tasks": task,
    "task-executions": execution,
    "sessions": conversation,
    "input-requests": input_request,
    "groups": group,
    "remembered-decisions": remembered_decision,
    "inbox-views": inbox_view,
    "artifacts": artifact,
    "reports": report,
    "agents": agent,
    "tool-groups": tool_group,
    "task-templates": task_template,
    "mcp-servers": mcp_server,
    "secrets": secret,
    "api-keys": api_key,
    "audit-logs": audit_row,
    "notifications": notification,
    "admin": user,
    "queue": claim_work,
    "plans": plan,
    "memory": memory_entry,
    "memory-grants": memory_grant,
}
"""By the first part of the path. The third argument is a text to store in the resource."""

LEASES: dict[str, str] = {}
"""The tokens of the leases of `claim_work`, by the id of the execution."""

LEASE = {"lease_token": str(new_id())}

BODIES: dict[str, Any] = {
    "POST /task-executions/{execution_id}/report": {"format": "pdf"},
    "POST /tasks": TASK,
    "PATCH /tasks/{task_id}": {"description": "changed"},
    "POST /tasks/{task_id}/execute": {},
    "POST /tasks/{task_id}/dry-run": {},
    "POST /tasks/{task_id}/hooks": {"name": "ci"},
    "POST /tasks/{task_id}/schedule/backfill": SPAN,
    "POST /tool-groups": GROUP,
    "PATCH /tool-groups/{group_id}": {"description": "changed"},
    "POST /task-templates": TEMPLATE,
    "PATCH /task-templates/{template_id}": {"description": "changed"},
    "POST /task-templates/{template_id}/create-task": {
        "name": "greetings",
        "parameters": {"name": "Ada"},
    },
    "POST /mcp-servers": SERVER,
    "PATCH /mcp-servers/{server_id}": {"description": "changed"},
    "POST /mcp-servers/{server_id}/health-check": {},
    "POST /agents": {**AGENT, "agent_id": "poet"},
    "POST /agents/import": {"markdown": "---\nname: poet\ndescription: d\n---\nYou write."},
    "PATCH /agents/{agent_id}": {"description": "changed"},
    "POST /task-executions": PROMPT,
    "POST /task-executions/bulk/cancel": {"filter": {"tag": "unused"}},
    "POST /task-executions/bulk/retry": {"filter": {"tag": "unused"}},
    "POST /task-executions/{execution_id}/retry": {},
    "POST /task-executions/{execution_id}/messages": {"content": "And then?"},
    "POST /task-executions/{execution_id}/cancel": {"reason": "changed"},
    "POST /task-executions/{execution_id}/finish": {"message": "That is enough."},
    "POST /task-executions/{execution_id}/fork": {"at_turn": 0},
    "POST /queue/claim": {},
    "PATCH /queue/{execution_id}": {"priority": 9},
    "POST /tasks/{task_id}/artifacts/prune": {"dry_run": False, "older_than_seconds": 60},
    "POST /queue/prune": {"dry_run": False, "older_than_hours": 1e-7},
    "POST /queue/clean-up": {"dry_run": False, "abandoned_hours": 1e-7},
    "POST /queue/{execution_id}/heartbeat": LEASE,
    "POST /queue/{execution_id}/complete": {**LEASE, "summary": "changed"},
    "POST /queue/{execution_id}/fail": {**LEASE, "message": "changed"},
    "POST /queue/{execution_id}/release": LEASE,
    "PUT /secrets/{name}": {"value": "changed"},
    "PUT /inbox-views/{name}": {"assignee": "changed"},
    "POST /sessions": {},
    "PATCH /sessions/{session_id}": {"title": "changed"},
    "POST /sessions/{session_id}/messages": {"content": "And then?"},
    "POST /sessions/{session_id}/tasks": {"agent_id": "researcher", "input": "Look it up."},
    "POST /notifications/test": {"webhook": {"url": "https://hooks.example.com/x"}},
    "POST /input-requests/{request_id}/answer": {"message": "changed"},
    "POST /input-requests/bulk/answer": {
        "requests": [{"id": str(new_id()), "input_sha256": "0" * 64}],
        "decision": "deny",
    },
    "POST /input-requests/bulk/withdraw": {"ids": [str(new_id())]},
    "POST /input-requests/{request_id}/assign": {"assignee": "carol"},
    "POST /input-requests/{request_id}/comments": {"body": "changed"},
    "POST /groups": {"name": "legal", "members": ["carol"]},
    "PATCH /groups/{group_id}": {"description": "changed"},
    "POST /artifacts": {"name": "notes.txt", "content": "changed"},
    "POST /artifacts/upload": {"any": "content"},
    "POST /sign-in-codes": {"next": "/inbox"},
    "POST /api-keys": {"name": "one more"},
    "POST /admin/users": {"subject": "invited"},
    "POST /plans": PLAN,
    "PATCH /plans/{plan_id}": {"goal": "changed"},
    "POST /plans/generate": {"goal": "Know what happened."},
    "PUT /memory/{namespace}/{key}": {"value": "changed"},
    "POST /memory/import": {"items": [{"namespace": "user:a", "key": "b", "value": "changed"}]},
    "POST /memory-grants": {"namespace": "user:a", "grantee": "reader"},
    "POST /plans/{plan_id}/cancel": {"reason": "changed"},
    "PATCH /admin/users/{user_id}": {"max_concurrent_executions": 5},
}
"""A body that each route takes, by its method and path."""
