import httpx2

from tests.api.world import make_task

Client = httpx2.AsyncClient


async def test_each_change_of_what_runs_is_a_version(client: Client) -> None:
    task = await make_task(client, prompt_template="One.")
    path = task["_links"]["self"]
    for prompt in ("Two.", "Three."):
        await client.patch(path, json={"prompt_template": prompt})
    await client.patch(path, json={"description": "not a version"})
    page = (await client.get(task["_links"]["versions"])).json()
    assert page["total"] == 3
    assert [v["version"] for v in page["items"]] == [3, 2, 1]
    prompts = [v["definition"]["prompt_template"] for v in page["items"]]
    assert prompts == ["Three.", "Two.", "One."]
    assert {v["created_by"] for v in page["items"]} == {task["user_id"]}
    one = await client.get(page["items"][2]["_links"]["self"])
    assert one.json() == page["items"][2]
    assert one.headers["etag"]


async def test_versions_are_paged_by_cursor(client: Client) -> None:
    task = await make_task(client)
    for number in range(4):
        await client.patch(task["_links"]["self"], json={"prompt_template": f"Say {number}."})
    seen: list[int] = []
    address = f"{task['_links']['versions']}?page_size=2"
    while address:
        page = (await client.get(address)).json()
        seen += [v["version"] for v in page["items"]]
        address = page["_links"].get("next")
    assert seen == [5, 4, 3, 2, 1]
    second = (await client.get(f"{task['_links']['versions']}?page_size=2&page=2")).json()
    assert [v["version"] for v in second["items"]] == [3, 2]


async def test_readers_of_a_task_can_read_its_versions(client: Client, other: Client) -> None:
    task = await make_task(client)
    versions = task["_links"]["versions"]
    for path in (versions, f"{versions}/1"):
        refused = await other.get(path)
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_denied")
    await client.patch(task["_links"]["self"], json={"is_public": True})
    assert (await other.get(f"{versions}/1")).status_code == 200
    assert (await client.get(f"{versions}/2")).status_code == 404
    assert (await client.get(f"{versions}/0")).status_code == 422
    assert (await client.get(f"{versions}/99999999999999")).status_code == 422
    await client.delete(task["_links"]["self"])
    assert (await client.get(versions)).status_code == 404


async def test_whom_a_public_task_notifies_is_its_owners_business(
    client: Client, other: Client
) -> None:
    config = {"email": ["ann@example.com"], "slack": [{"url": "https://hooks.slack.com/SECRET"}]}
    task = await make_task(client, notification_config=config)
    path = task["_links"]["self"]
    webhooks = {"webhooks": [{"url": "https://example.com/?key=SECRET"}]}
    await client.patch(path, json={"notification_config": webhooks, "is_public": True})
    for address in (path, f"{path}/versions", f"{path}/versions/1", "/api/v1/tasks?page_size=100"):
        seen = await other.get(address)
        assert seen.status_code == 200
        assert str(task["id"]) in seen.text
        assert "SECRET" not in seen.text, address
        assert "ann@example.com" not in seen.text, address
        assert "SECRET" in (await client.get(address)).text, address
