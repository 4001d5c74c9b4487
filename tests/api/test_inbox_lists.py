"""Lists of the inbox: decisions about several calls at once, and saved views."""

import asyncio
import json
import re
from html import unescape
from urllib.parse import quote

from sqlalchemy import select

from persistence.tables.people import InboxViewRow
from tests.api.browsing import API, Client, alice, new_request, read_request, sign_in, words
from tests.api.test_pages import post
from tests.api.world import APPROVAL, World, ask, execute, give_session, make_task

__all__ = ["alice"]


async def alike_requests(world: World, count: int) -> list[str]:
    """The ids of approvals of calls of one task."""
    async with world.client("alice") as client:
        task = await make_task(client)
        made = []
        for number in range(count):
            execution = await execute(client, task)
            await give_session(world, execution, "waiting_for_user")
            call = {**APPROVAL, "tool_input": json.dumps({"command": f"push {number}"})}
            made.append(await ask(world, execution, **call))
    return made


def address(requests: list[str]) -> str:
    return "/inbox/together?" + "&".join(f"request={request}" for request in requests)


async def test_alike_calls_are_decided_together(world: World, alice: Client) -> None:
    requests = await alike_requests(world, 3)
    page = await alice.get(address(requests[:2]))
    assert "push 0" in page.text
    assert "push 1" in page.text
    assert "push 2" not in page.text
    seen = re.findall(r'name="seen" value="([^"]+)"', page.text)
    seen[1] = seen[1][:-1] + ("0" if seen[1][-1] != "0" else "1")  # the person saw another input
    done = await post(alice, "/inbox/together", "/keys", seen=seen, decision="approve")
    assert "1 request answered" in words(done)
    assert "1 request not answered" in words(done)
    states = [(await read_request(world, f"/inbox/{request}"))["status"] for request in requests]
    assert states == ["answered", "open", "open"]
    assert "1 chosen request is left out" in words(await alice.get(address(requests[:2])))
    answered = re.findall(r'name="request" value="([^"]+)"', done.text)
    undone = await post(alice, "/inbox/together/withdraw", "/keys", request=answered)
    assert "1 answer withdrawn" in words(undone)
    assert (await read_request(world, f"/inbox/{requests[0]}"))["status"] == "open"


async def test_an_approval_that_needs_more_people_is_reported(world: World, alice: Client) -> None:
    path = await new_request(world, **APPROVAL, approvals_required=2)
    seen = re.findall(
        r'name="seen" value="([^"]+)"', (await alice.get(address([path.rpartition("/")[2]]))).text
    )
    done = words(await post(alice, "/inbox/together", "/keys", seen=seen, decision="approve"))
    assert "more people must approve" in done
    denied = await post(alice, "/inbox/together", "/keys", seen=seen, decision="deny")
    assert "1 answer took effect at once" in words(denied)
    assert "/inbox/together/withdraw" not in denied.text


async def test_unlike_calls_are_not_decided_together(world: World, alice: Client) -> None:
    requests = [(await alike_requests(world, 1))[0] for _ in range(2)]
    page = await alice.get(address(requests))
    seen = re.findall(r'name="seen" value="([^"]+)"', page.text)
    refused = await post(alice, "/inbox/together", "/keys", seen=seen, decision="deny")
    assert refused.status_code == 422
    assert 'href="#call-2"' in refused.text
    assert (await read_request(world, f"/inbox/{requests[0]}"))["status"] == "open"
    wrong = await post(alice, "/inbox/together", "/keys", seen="1:2", decision="deny")
    assert wrong.status_code == 422
    other = await new_request(world, user="bob", **APPROVAL)
    assert (await alice.get(address([other.rpartition("/")[2]]))).status_code == 404
    assert (await alice.get("/inbox/together")).headers["location"] == "/inbox"


async def test_a_view_is_saved_under_a_name(world: World, alice: Client) -> None:
    query = "status=answered&kind=budget"
    await post(alice, "/inbox/views", "/keys", name=" Paid ", query=query)
    other = await sign_in(world, "alice")
    page = await other.get(f"/inbox?{query}")
    assert '?kind=budget&amp;status=answered" aria-current="true" dir="auto">Paid' in page.text
    assert "Remove the view Paid" in words(page)
    for name, wrong in (("", query), ("x" * 41, query), ("a/b", query), ("x", "kind=nonsense")):
        refused = await post(alice, "/inbox/views", "/keys", name=name, query=wrong)
        assert refused.status_code in {404, 422}
    async with world.client("alice") as client:
        [stored] = (await client.get(f"{API}/inbox-views")).json()["items"]
    assert (stored["name"], stored["filters"]) == ("Paid", {"status": "answered", "kind": "budget"})
    await post(other, "/inbox/views", "/keys", name="Paid", remove="1")
    assert "Paid" not in words(await alice.get("/inbox"))
    await other.aclose()


async def test_a_view_with_a_filter_that_no_longer_exists_is_shown_without_it(world: World) -> None:
    async with world.client("frank") as client:
        await client.put(f"{API}/inbox-views/Old", json={"kind": "budget", "assignee": "boss"})
    filters = {"status": "open", "kind": "retired_kind", "colour": "red", "assignee": "boss"}
    async with world.gateway.database.transaction() as session:
        view = await session.scalar(select(InboxViewRow).where(InboxViewRow.name == "Old"))
        assert view is not None
        view.filters = filters
    await new_request(world, user="frank", title="For the boss", assignee="boss")
    await new_request(world, user="frank", title="For all")
    page = await sign_in(world, "frank")
    listed = await page.get("/inbox")
    assert listed.status_code == 200
    address = re.search(r'href="([^"]+)"[^>]*>Old</a>', listed.text)
    assert address is not None
    shown = await page.get(unescape(address[1]))
    assert "The filter kind retired_kind is not valid" in words(shown)
    assert "The filter colour red is not valid" in words(shown)
    assert "For the boss" in words(shown)
    assert "For all" not in words(shown)
    assert "Remove the view Old" in words(shown)
    assert (await page.get("/inbox?cursor=nonsense")).status_code == 422
    await page.aclose()


async def test_there_are_twelve_views_at_most(world: World) -> None:
    async with world.client("bob") as client:
        for number in range(12):
            await client.put(f"{API}/inbox-views/{number}", json={"kind": "question"})
        refused = await client.put(f"{API}/inbox-views/more", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
        changed = await client.put(f"{API}/inbox-views/3", json={"status": "expired"})
        assert changed.json()["filters"] == {"status": "expired"}
        assert (await client.delete(f"{API}/inbox-views/3")).status_code == 204
        assert (await client.put(f"{API}/inbox-views/more", json={})).status_code == 201


async def test_requests_at_the_same_time_save_twelve_views(world: World) -> None:
    async with world.client("carol") as client:
        puts = (client.put(f"{API}/inbox-views/{number}", json={}) for number in range(20))
        answers = await asyncio.gather(*puts)
    assert sorted(answer.status_code for answer in answers) == [201] * 12 + [409] * 8


async def test_the_address_of_a_view_leads_to_it(world: World) -> None:
    async with world.client("dan") as client:
        for name in ("50% done?", "a b#c", "überfällig"):
            made = await client.put(f"{API}/inbox-views/{quote(name)}", json={})
            found = await client.get(made.json()["_links"]["self"])
            assert (found.status_code, found.json()["name"]) == (200, name)
        for name in ("%2e%2e", "a%0db", "%20a"):
            refused = await client.put(f"{API}/inbox-views/{name}", json={})
            assert (refused.status_code, "in one line" in refused.text) == (422, True)


async def test_a_view_of_all_open_requests_can_be_removed(world: World) -> None:
    async with world.client("erin") as client:
        await client.put(f"{API}/inbox-views/all", json={})
    page = await sign_in(world, "erin")
    assert "Remove the view all" in words(await page.get("/inbox"))
    await page.aclose()
