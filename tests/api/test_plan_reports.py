"""The report and the graph of a plan over HTTP."""

import xml.etree.ElementTree as ET

import httpx2
import pytest

from tests.api.test_plans import make_plan

Client = httpx2.AsyncClient


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("html", "text/html; charset=utf-8"), ("markdown", "text/markdown; charset=utf-8")],
)
async def test_a_plan_has_a_report(client: Client, name: str, media_type: str) -> None:
    plan = await make_plan(client)
    response = await client.get(plan["_links"]["report"], params={"format": name})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == media_type
    assert "weekly-summary-" in response.headers["content-disposition"]
    assert "2 steps in 2 batches: 2 not started." in response.text


async def test_the_json_has_the_data(client: Client) -> None:
    plan = await make_plan(client, budget_usd=2)
    response = await client.get(plan["_links"]["report"], params={"format": "json"})
    facts = response.json()
    assert (facts["plan_id"], facts["status"], facts["budget_usd"]) == (plan["id"], "draft", 2)
    shared = ("key", "title", "batch", "depends_on", "agent_id")
    for step, read in zip(facts["steps"], plan["steps"], strict=True):
        assert {name: step[name] for name in shared} == {name: read[name] for name in shared}


async def test_the_graph_is_a_picture_that_loads_nothing(client: Client) -> None:
    plan = await make_plan(client)
    response = await client.get(plan["_links"]["graph"])
    assert response.headers["content-type"] == "image/svg+xml"
    assert response.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    svg = ET.fromstring(response.content)  # noqa: S314 - ours
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    tag = {"If-None-Match": response.headers["etag"]}
    assert (await client.get(plan["_links"]["graph"], headers=tag)).status_code == 304


async def test_others_and_unknown_formats_are_refused(client: Client, other: Client) -> None:
    plan = await make_plan(client)
    for name in ("report", "graph"):
        assert (await other.get(plan["_links"][name])).status_code == 403
    odd = await client.get(plan["_links"]["report"], params={"format": "docx"})
    assert odd.status_code == 422
