from typing import Any

import httpx2
import pytest

from tests.api.world import World

Client = httpx2.AsyncClient
PLANS = "/api/v1/plans"

FETCH: dict[str, Any] = {"key": "fetch", "title": "Fetch the data", "prompt": "Fetch it."}
SUM_UP: dict[str, Any] = {
    "key": "sum-up",
    "prompt": "Sum up {{ steps.fetch.result }} with {{ care }}.",
    "agent_id": "researcher",
    "depends_on": ["fetch"],
    "budget_usd": 0.5,
}
PLAN: dict[str, Any] = {"title": "Weekly summary", "goal": "Know it.", "steps": [FETCH, SUM_UP]}


async def make_plan(client: Client, **changed: Any) -> dict[str, Any]:
    response = await client.post(PLANS, json={**PLAN, **changed})
    assert response.status_code == 201, response.text
    plan: dict[str, Any] = response.json()
    return plan


async def test_a_plan_is_read_as_it_was_made(client: Client) -> None:
    plan = await make_plan(client, budget_usd=2)
    assert (await client.get(plan["_links"]["self"])).json() == plan
    assert (plan["status"], plan["budget_usd"]) == ("draft", 2)
    assert plan["batches"] == [["fetch"], ["sum-up"]]
    assert plan["critical_path"] == ["fetch", "sum-up"]
    assert plan["max_parallelism"] == 1
    assert plan["progress"] == {
        **dict.fromkeys(("completed", "failed", "cancelled", "active", "percent"), 0),
        "total": 2,
        "waiting": 2,
    }
    fetch, sum_up = plan["steps"]
    assert (fetch["title"], fetch["batch"], fetch["status"]) == ("Fetch the data", 0, None)
    assert (sum_up["title"], sum_up["agent_id"], sum_up["budget_usd"]) == (
        "sum-up",
        "researcher",
        0.5,
    )


async def test_plans_are_listed_without_their_steps(client: Client) -> None:
    plan = await make_plan(client)
    for query in ({}, {"status": "draft,running"}):
        (first, *_) = (await client.get(PLANS, params=query)).json()["items"]
        assert first["id"] == plan["id"]
        assert "steps" not in first
        assert first["progress"] == plan["progress"]
    running = (await client.get(PLANS, params={"status": "running"})).json()["items"]
    assert plan["id"] not in [item["id"] for item in running]


async def test_a_draft_is_changed_and_deleted(client: Client) -> None:
    plan = await make_plan(client)
    path = plan["_links"]["self"]
    tag = (await client.get(path)).headers["etag"]
    third = {"key": "third", "prompt": "Check.", "depends_on": ["sum-up"]}
    change = {"title": "Other", "steps": [FETCH, SUM_UP, third], "goal": None}
    changed = await client.patch(path, json=change, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert (body["title"], body["goal"], len(body["batches"])) == ("Other", None, 3)
    stale = await client.patch(path, json={"title": "No"}, headers={"If-Match": tag})
    assert stale.status_code == 412
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("steps", "loc"),
    [
        ([], ["steps"]),
        ([{**FETCH, "depends_on": ["sum-up"]}, SUM_UP], ["steps"]),
        ([{**FETCH, "agent_id": "reseacher"}, SUM_UP], ["steps", 0, "agent_id"]),
        ([FETCH, {**SUM_UP, "depends_on": []}], ["steps", 1, "prompt"]),
        ([{**FETCH, "key": "a b"}], ["steps", 0, "key"]),
        ([{**FETCH, "budget_usd": -1}], ["steps", 0, "budget_usd"]),
    ],
)
async def test_an_invalid_step_is_refused_at_its_place(
    client: Client, steps: list[dict[str, Any]], loc: list[str | int]
) -> None:
    refused = await client.post(PLANS, json={**PLAN, "steps": steps})
    assert refused.status_code == 422
    assert [error["loc"] for error in refused.json()["errors"]] == [["body", *loc]]


async def test_the_form_of_a_key_is_explained(client: Client) -> None:
    refused = await client.post(PLANS, json={**PLAN, "steps": [{**FETCH, "key": "a b"}]})
    assert refused.json()["errors"][0]["msg"] == "Use letters, digits, _ and - only."


async def test_a_repeated_create_makes_one_plan(client: Client) -> None:
    headers = {"Idempotency-Key": "plan-1"}
    responses = [await client.post(PLANS, json=PLAN, headers=headers) for _ in range(2)]
    assert responses[0].json() == responses[1].json()
    assert responses[1].headers["Idempotency-Replayed"] == "true"


async def test_a_plan_of_another_user_is_refused(world: World, client: Client) -> None:
    plan = await make_plan(client)
    async with world.client("mallory") as mallory:
        assert (await mallory.get(plan["_links"]["self"])).status_code == 403
        assert (await mallory.get(PLANS)).json()["items"] == []
