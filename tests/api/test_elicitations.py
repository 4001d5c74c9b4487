"""What clients show a person, and what their responses do to the request."""

import asyncio
from collections.abc import Collection
from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.errors import PermissionDeniedError
from persistence.ledger.audit import Actor
from persistence.tables.executions import ExecutionRow
from persistence.tables.sessions import InputRequestRow
from services.caller import Caller
from services.executions import elicitations
from services.executions.elicitations import Action, Elicitation, ElicitationResponse, Mode
from tests.api.world import APPROVAL, World, ask, execute, make_task

Client = httpx2.AsyncClient
Json = dict[str, Any]
BOTH: Collection[Mode] = ("form", "url")


def page_url(request_id: UUID) -> str:
    return f"https://perdure.example/inbox/{request_id}"


class Asked:
    """An execution as a client sees it."""

    def __init__(self, world: World, execution: Json, subject: str) -> None:
        self.world = world
        self.execution_id = UUID(execution["id"])
        user_id = UUID(execution["user_id"])
        self.caller = Caller(user_id=user_id, subject=subject, actor=Actor(user_id))

    async def show(self, modes: Collection[Mode] = BOTH) -> Elicitation | None:
        async with self.world.gateway.database.reading() as session:
            return await elicitations.find_elicitation(session, self.execution_id, page_url, modes)

    async def respond(self, key: str, action: Action, content: Json | None = None) -> None:
        response = ElicitationResponse(key, action, content)
        async with self.world.gateway.services.transaction(self.caller) as work:
            await elicitations.respond(work, self.execution_id, response, page_url)

    async def answer_shown(self, action: Action, **content: Any) -> Elicitation:
        shown = await self.show()
        assert shown is not None
        await self.respond(shown.key, action, content)
        return shown

    async def row(self, request_id: str) -> InputRequestRow:
        async with self.world.gateway.database.reading() as session:
            return await session.get_one(InputRequestRow, UUID(request_id))


async def open_request(world: World, client: Client, **fields: Any) -> tuple[Asked, str]:
    execution = await execute(client, await make_task(client))
    return Asked(world, execution, "alice"), await ask(world, execution, **fields)


async def test_an_accepted_form_is_an_ordinary_answer(
    world: World, client: Client, admin: Client
) -> None:
    seen, request_id = await open_request(world, client, **APPROVAL)
    shown = await seen.answer_shown("accept", decision="approve", message="Go.")
    assert shown.schema is not None
    assert (await seen.row(request_id)).answer == {"decision": "approve", "message": "Go."}
    assert await seen.show() is None
    audit = await admin.get(f"/api/v1/audit-logs?entity_id={request_id}")
    assert [entry["action"] for entry in audit.json()["items"]] == ["input_request.answer"]


async def test_an_answer_that_no_encoding_allows_is_stored_readable(
    world: World, client: Client
) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    seen, request_id = await open_request(world, client, kind="form", schema=schema)
    await seen.answer_shown("accept", city="Z\ud800g")
    answer = (await seen.row(request_id)).answer
    assert answer is not None
    assert answer["values"] == {"city": "Z\ufffdg"}


async def test_a_declined_form_denies(world: World, client: Client) -> None:
    seen, request_id = await open_request(world, client, **APPROVAL)
    await seen.answer_shown("decline")
    assert (await seen.row(request_id)).answer == {"decision": "deny"}


@pytest.mark.parametrize(
    ("fields", "action", "content"),
    [
        ({}, "cancel", None),
        ({"kind": "effect_check"}, "decline", None),
        ({"kind": "form", "schema": {"type": "object"}}, "accept", None),
        ({"kind": "form", "schema": {"type": "object"}}, "decline", None),
    ],
)
async def test_what_decides_nothing_is_shown_again_under_a_new_key(
    world: World, client: Client, fields: Json, action: Action, content: Json | None
) -> None:
    seen, request_id = await open_request(world, client, **fields)
    first = await seen.show()
    assert first is not None
    await seen.respond(first.key, action, content)
    again = await seen.show()
    assert again is not None
    assert again.key != first.key
    assert again.message == first.message
    assert (await seen.row(request_id)).status == "open"


async def test_an_invalid_answer_is_shown_again_with_what_is_wrong(
    world: World, client: Client
) -> None:
    seen, request_id = await open_request(world, client, options=["red", "blue"])
    await seen.answer_shown("accept", answer="green")
    again = await seen.show()
    assert again is not None
    assert again.message.startswith('Choose one of "red", "blue"')
    await seen.answer_shown("accept", message=5)
    assert (await seen.row(request_id)).status == "open"
    await seen.answer_shown("accept", answer="blue")
    assert (await seen.row(request_id)).answer == {
        "decision": "approve",
        "values": {"answer": "blue"},
    }


async def test_a_request_is_shown_a_limited_number_of_times(world: World, client: Client) -> None:
    seen, request_id = await open_request(world, client)
    for _ in range(elicitations.MOST_DISMISSALS):
        await seen.answer_shown("cancel")
    assert await seen.show() is None
    assert (await seen.row(request_id)).status == "open"


async def test_late_and_unknown_responses_change_nothing(world: World, client: Client) -> None:
    seen, request_id = await open_request(world, client)
    first = await seen.answer_shown("cancel")
    for key in (first.key, "unknown", f"{request_id}.7", f"{seen.execution_id}.0"):
        await seen.respond(key, "accept", {"answer": "late"})
    assert (await seen.row(request_id)).dismissals == 1
    other, _ = await open_request(world, client)
    shown = await seen.show()
    assert shown is not None
    await other.respond(shown.key, "accept", {"answer": "of another execution"})
    assert (await seen.row(request_id)).status == "open"


async def test_of_two_responses_one_counts(world: World, client: Client) -> None:
    seen, request_id = await open_request(world, client)
    shown = await seen.show()
    assert shown is not None
    answers = (seen.respond(shown.key, "accept", {"answer": f"{n}"}) for n in range(4))
    await asyncio.gather(*answers)
    assert (await seen.row(request_id)).status == "answered"


async def test_one_request_is_shown_at_a_time_and_only_in_the_clients_modes(
    world: World, client: Client
) -> None:
    seen, first = await open_request(world, client, kind="form", schema={"type": "object"})
    second = await ask(world, {"id": str(seen.execution_id)})
    offered: list[Collection[Mode]] = [BOTH, ["form"], []]
    shown = [await seen.show(modes) for modes in offered]
    ids = [None if one is None else str(one.request_id) for one in shown]
    assert ids == [first, second, None]
    assert shown[0] is not None
    assert (shown[0].schema, shown[0].url) == (None, page_url(UUID(first)))


async def test_requests_of_subtasks_are_shown(world: World, client: Client) -> None:
    parent, _ = await open_request(world, client)
    await parent.answer_shown("accept", answer="Blue.")
    child, request_id = await open_request(world, client)
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, child.execution_id)
        row.parent_execution_id, row.title = parent.execution_id, "The subtask"
    shown = await parent.answer_shown("accept", answer="Red.")
    assert "The subtask" in shown.message
    assert (await parent.row(request_id)).status == "answered"


async def test_another_user_answers_nothing(world: World, client: Client, other: Client) -> None:
    seen, request_id = await open_request(world, client)
    shown = await seen.show()
    assert shown is not None
    their = await execute(other, await make_task(other))
    bob = Asked(world, {"id": seen.execution_id.hex, "user_id": their["user_id"]}, "bob")
    with pytest.raises(PermissionDeniedError):
        await bob.respond(shown.key, "accept", {"answer": "x"})
    assert (await seen.row(request_id)).status == "open"
