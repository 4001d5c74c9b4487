"""Both web tools are asked for every URL of the table, directly and by a redirect."""

import asyncio
from urllib.parse import quote

from tests.tools.conftest import SessionCalls
from tests.tools.hostile import table
from tests.tools.hostile.traps import Traps


async def test_no_attempt_arrives(traps: Traps, calls: SessionCalls) -> None:
    urls = [traps.fill(url) for url in (*table.URLS, *table.RELATIVE)]
    paths = [f"redirect to {traps.fill(url)!r}" for url in table.RELATIVE]
    start = f"http://allowed.example:{traps.allowed_port}/?to="

    async def attempt(url: str) -> list[str]:
        """The attempts that succeeded."""
        outcomes = {
            f"web_fetch {url!r}": await calls("web_fetch", url=url),
            f"http_request {url!r}": await calls("http_request", url=url, method="POST"),
            f"redirect to {url!r}": await calls("web_fetch", url=start + quote(url, safe="")),
        }
        return [name for name, outcome in outcomes.items() if not outcome.is_error]

    succeeded = [name for url in urls for name in await attempt(url)]
    assert traps.caught == []
    assert succeeded == paths
    assert len(urls) * 3 > 200
    assert len(traps.requests) == len(urls) + len(paths)


async def test_the_allowed_host_is_reached(traps: Traps, calls: SessionCalls) -> None:
    for name in ("allowed.example", "a.b.wild.example", "ALLOWED.example."):
        url = f"http://{name}:{traps.allowed_port}/"
        assert (await calls.text("web_fetch", url=url)).endswith("welcome!")
    assert len(traps.requests) == 3


async def test_a_name_that_changes_its_address_is_not_followed(
    traps: Traps, calls: SessionCalls
) -> None:
    url = f"http://rebind.example:{traps.allowed_port}/"
    assert "welcome" in await calls.text("http_request", url=url)
    refusals = await asyncio.gather(*(calls.refusal("web_fetch", url=url) for _ in range(10)))
    assert all("which is not public" in refusal for refusal in refusals)
    assert (traps.caught, len(traps.requests)) == ([], 1)
