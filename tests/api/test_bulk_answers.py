"""One decision for several requests, and its withdrawal."""

from domain.ids import new_id
from tests.api.test_people import BASE, Client, make_group, path_of_request
from tests.api.world import APPROVAL, World, ask, execute, make_task


async def test_alike_requests_are_answered_together(world: World, client: Client) -> None:
    task = await make_task(client)
    paths = [
        f"{BASE}/{await ask(world, await execute(client, task), **APPROVAL)}" for _ in range(3)
    ]
    sha256 = bytes(range(32)).hex()
    seen = [{"id": path.rpartition("/")[2], "input_sha256": sha256} for path in paths]
    elsewhere = await path_of_request(world, client, **APPROVAL)
    odd = {"id": elsewhere.rpartition("/")[2], "input_sha256": sha256}
    bulk = f"{BASE}/bulk/answer"
    refused = await client.post(bulk, json={"requests": [*seen, odd], "decision": "approve"})
    assert refused.json()["errors"][0]["loc"] == ["body", "requests", 3]
    assert (await client.get(paths[0])).json()["status"] == "open"
    seen[2] = {**seen[2], "input_sha256": "0" * 64}
    unknown = {"id": str(new_id()), "input_sha256": sha256}
    done = await client.post(bulk, json={"requests": [*seen, unknown], "decision": "approve"})
    assert done.json()["answered"] == 2
    assert [skipped["code"] for skipped in done.json()["skipped"]] == [
        "input_changed",
        "not_found",
    ]
    assert [(await client.get(path)).json()["status"] for path in paths] == [
        "answered",
        "answered",
        "open",
    ]


async def test_answers_that_were_given_together_are_withdrawn_together(
    world: World, client: Client
) -> None:
    task = await make_task(client)
    ids = [await ask(world, await execute(client, task), **APPROVAL) for _ in range(3)]
    sha256 = bytes(range(32)).hex()
    seen = [{"id": request_id, "input_sha256": sha256} for request_id in ids[:2]]
    body = {"requests": seen, "decision": "approve", "undo_seconds": 30}
    headers = {"Idempotency-Key": "together"}
    done = await client.post(f"{BASE}/bulk/answer", json=body, headers=headers)
    assert done.json()["answered"] == 2
    again = await client.post(f"{BASE}/bulk/answer", json=body, headers=headers)
    assert again.json() == done.json()
    entries = [
        (await client.get(f"/api/v1/audit-logs?entity_id={request_id}")).json()["items"]
        for request_id in ids[:2]
    ]
    # Postgres sets the time of the transaction.
    assert len({entry["at"] for [entry] in entries}) == 1
    withdrawn = (await client.post(f"{BASE}/bulk/withdraw", json={"ids": ids})).json()
    assert withdrawn["input_request_ids"] == ids[:2]
    assert [(s["id"], s["code"]) for s in withdrawn["skipped"]] == [(ids[2], "already_answered")]
    for request_id in ids:
        assert (await client.get(f"{BASE}/{request_id}")).json()["status"] == "open"


async def test_alike_approvals_that_others_must_give_too_are_open(world: World) -> None:
    async with world.client("starter") as starter, world.client("ann") as ann:
        await ann.get("/api/v1/me")
        group = await make_group(world, "ann", "ben")
        path = await path_of_request(
            world, starter, **APPROVAL, approvals_required=2, assignee=group
        )
        seen = {"id": path.rpartition("/")[2], "input_sha256": bytes(range(32)).hex()}
        body = {"requests": [seen], "decision": "approve"}
        done = (await ann.post(f"{BASE}/bulk/answer", json=body)).json()
        assert (done["answered"], done["approved_ids"]) == (0, [seen["id"]])
