"""Reports over HTTP: the recorded events and the outcome, in the requested format."""

import asyncio
import json
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import httpx2
import pytest

from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from reports.compose import compose_json
from services.reports import store_report
from tests.api.world import World, execute, make_task
from tests.reports.execution_builder import BEGAN, definition, start_execution
from tests.stack import perdure
from tests.waiting import now_within_an_hour

Client = httpx2.AsyncClient


async def finished_report(world: World, client: Client, title: str = "Show me") -> str:
    """A finished execution of the client with a report; the path of the report."""
    user_id = UUID((await execute(client, await make_task(client)))["user_id"])
    async with world.gateway.database.transaction() as session:
        builder = await start_execution(session, user_id=user_id, title=title)
        await builder.add_user_message("Go.")
        await builder.add_answer("Done, & <b>well</b>.")
    await store_report(world.gateway.database, builder.row.id, compose_json)
    return f"/api/v1/task-executions/{builder.row.id}/report"


async def test_html_is_a_page_that_runs_nothing(world: World, client: Client) -> None:
    response = await client.get(await finished_report(world, client), params={"format": "html"})
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'")
    assert "Done, &amp; &lt;b&gt;well&lt;/b&gt;." in response.text


async def test_json_is_the_content_alone(world: World, client: Client) -> None:
    path = await finished_report(world, client)
    stored = (await client.get(path)).json()
    content = (await client.get(path, params={"format": "json"})).json()
    assert content == stored["content"]
    assert content["outcome"]["text"]["text"] == "Done, & <b>well</b>."


async def test_a_report_is_created_after_the_end(world: World, client: Client) -> None:
    user_id = UUID((await execute(client, await make_task(client)))["user_id"])
    async with world.gateway.database.transaction() as session:
        wanted = definition(generate_report=False, report_format=None)
        builder = await start_execution(session, user_id=user_id, definition=wanted)
        await builder.add_user_message("Go.")
        await builder.add_answer("Done.")
    path = f"/api/v1/task-executions/{builder.row.id}/report"
    early = await client.post(path)
    assert early.status_code == 409
    assert "has not ended" in early.json()["detail"]
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, builder.row.id)
        row.status, row.error_code, row.error_message = "failed", "max_turns", "Too many turns."
        row.completed_at = BEGAN + timedelta(seconds=90)
    assert "POST at this path" in (await client.get(path)).json()["detail"]
    made = await client.post(path, json={"format": "pdf"})
    assert (made.status_code, made.json()["format"]) == (201, "pdf")
    content = made.json()["content"]
    assert content["duration_ms"] == 90_000
    assert content["outcome"]["error_code"] == "max_turns"
    again = await client.post(path)
    assert (again.status_code, again.json()["id"]) == (200, made.json()["id"])
    text = (await client.get(path, params={"format": "markdown"})).text
    assert "Too many turns." in text
    execution = (await client.get(path.removesuffix("/report"))).json()
    assert execution["report_id"] == made.json()["id"]


async def test_a_cancel_at_the_last_moment_is_shown(world: World, client: Client) -> None:
    path = await finished_report(world, client)
    execution = path.removesuffix("/report")
    cancelled = await client.post(f"{execution}/cancel", json={"reason": "Stop."})
    assert cancelled.status_code == 202
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution.rpartition("/")[2]))
        row.status = "cancelled"
    for content in (
        (await client.get(path)).json()["content"],
        (await client.get(path, params={"format": "json"})).json(),
    ):
        assert content["outcome"]["status"] == "cancelled"
        assert content["outcome"]["message"] == "Stop."


async def test_formats_that_are_not_there_are_named(world: World, client: Client) -> None:
    path = await finished_report(world, client)
    for address in (path, f"{await report_of(client, path)}/download"):
        response = await client.get(address, params={"format": "docx"})
        assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
        assert "html, pdf, json, markdown" in response.json()["detail"]


async def report_of(client: Client, path: str) -> str:
    """The address of the report itself."""
    links: dict[str, str] = (await client.get(path)).json()["_links"]
    return links["self"]


@pytest.mark.parametrize(
    ("report_format", "media_type", "begin"),
    [
        ("html", "text/html; charset=utf-8", b"<!doctype html>"),
        ("pdf", "application/pdf", b"%PDF-1."),
        ("json", "application/json", b"{"),
        ("markdown", "text/markdown; charset=utf-8", b"# Show me"),
    ],
)
async def test_every_format_is_downloaded(
    world: World, client: Client, report_format: str, media_type: str, begin: bytes
) -> None:
    now = await now_within_an_hour()
    report = await report_of(
        client, await finished_report(world, client, title="Show me: Größe, 数 / ok")
    )
    response = await client.get(f"{report}/download", params={"format": report_format})
    assert response.status_code == 200
    assert response.headers["content-type"] == media_type
    assert response.content.lstrip().startswith(begin)
    suffix = {"markdown": "md"}.get(report_format, report_format)
    day = f"{now:%Y-%m-%d}.{suffix}"
    disposition = response.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert f'filename="show-me-gre-ok-{day}"' in disposition
    assert f"filename*=UTF-8''show-me-gr%C3%B6%C3%9Fe-%E6%95%B0-ok-{day}" in disposition
    assert "default-src 'none'" in response.headers["content-security-policy"]


async def test_a_rendering_that_is_known_is_not_sent_again(world: World, client: Client) -> None:
    report = await report_of(client, await finished_report(world, client))
    address = f"{report}/download?format=html"
    tag = (await client.get(address)).headers["etag"]
    assert (await client.get(address, headers={"If-None-Match": tag})).status_code == 304
    other = await client.get(f"{report}/download?format=markdown", headers={"If-None-Match": tag})
    assert other.status_code == 200


async def test_without_a_format_a_download_is_what_the_task_asks_for(
    world: World, client: Client
) -> None:
    report = await report_of(client, await finished_report(world, client))
    response = await client.get(f"{report}/download")
    assert response.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_report_has_links_and_a_tag(world: World, client: Client) -> None:
    path = await finished_report(world, client)
    report = (await client.get(path)).json()
    response = await client.get(report["_links"]["self"])
    assert response.json() == report
    assert response.headers["etag"]
    assert report["_links"]["artifacts"] == f"{report['_links']['execution']}/artifacts"
    assert report["_links"]["download"] == f"{report['_links']['self']}/download"
    assert report["_links"]["execution"] == path.removesuffix("/report")


async def test_reports_are_listed_by_what_they_are_about(world: World, client: Client) -> None:
    path = await finished_report(world, client)
    report = (await client.get(path)).json()
    execution_id = report["execution_id"]
    at = datetime.fromisoformat(report["created_at"])
    after = (at + timedelta(milliseconds=1)).isoformat()
    for query, is_in in (
        ({}, True),
        ({"execution_id": execution_id}, True),
        ({"execution_id": report["id"]}, False),
        ({"format": "html"}, True),
        ({"format": "pdf"}, False),
        ({"task_id": report["id"]}, False),
        ({"created_from": at.isoformat()}, True),
        ({"created_from": after}, False),
        ({"created_to": after}, True),
        ({"created_to": at.isoformat()}, False),
        ({"created_from": "0001-01-01T00:00:00Z", "created_to": "9999-12-31T23:59:59Z"}, True),
    ):
        page = (await client.get("/api/v1/reports", params=query)).json()
        found = [item["id"] for item in page["items"]]
        assert (report["id"] in found) is is_in, query
        assert all("content" not in item for item in page["items"])


@pytest.mark.parametrize(
    "query", [{"format": "docx"}, {"created_from": "yesterday"}, {"task": "x"}, {"task_id": "1"}]
)
async def test_what_no_list_can_be_narrowed_by(client: Client, query: dict[str, str]) -> None:
    response = await client.get("/api/v1/reports", params=query)
    assert response.status_code == 422


async def test_another_users_reports_are_refused(
    world: World, client: Client, other: Client
) -> None:
    path = await finished_report(world, client)
    report = await report_of(client, path)
    for address in (path, report, f"{report}/download?format=pdf"):
        response = await other.get(address)
        assert (response.status_code, response.json()["code"]) == (403, "permission_denied")
    items = (await other.get("/api/v1/reports")).json()["items"]
    assert report not in [item["_links"]["self"] for item in items]
    assert (await other.get(f"/api/v1/reports/{new_id()}")).status_code == 404


@pytest.mark.parametrize(
    ("task", "facts", "why"),
    [
        ({}, {}, "Set generate_report"),
        ({"generate_report": True}, {}, "shortly before the end"),
        ({"generate_report": True}, {"report_error": "No luck."}, "No luck."),
        ({"generate_report": True}, {"status": "cancelled"}, "ended before the report was created"),
    ],
)
async def test_why_there_is_none(
    world: World, client: Client, task: dict[str, Any], facts: dict[str, Any], why: str
) -> None:
    wanted = {**task, "report_format": "pdf"} if task else {}
    execution = await execute(client, await make_task(client, **wanted))
    async with world.gateway.database.transaction() as session:
        row = await session.get_one(ExecutionRow, UUID(execution["id"]))
        for name, value in facts.items():
            setattr(row, name, value)
    response = await client.get(f"{execution['_links']['self']}/report")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert why in response.json()["detail"]


async def test_a_statement_names_the_message_that_it_comes_from(
    world: World, client: Client
) -> None:
    path = await finished_report(world, client)
    content = (await client.get(path)).json()["content"]
    seq = content["outcome"]["message_seq"]
    address = f"{path.removesuffix('/report')}/messages?after={seq - 1}&page_size=1"
    [message] = (await client.get(address)).json()["items"]
    assert message["seq"] == seq
    assert message["content"][0]["text"] == content["outcome"]["text"]["text"]


async def command(world: World, client: Client, *arguments: str) -> CompletedProcess[str]:
    """`perdure` as a user calls it, with the client's token."""
    token = client.headers["authorization"].removeprefix("Bearer ")
    place = {"PERDURE_API_URL": world.url, "PERDURE_TOKEN": token}
    return await asyncio.to_thread(perdure, Path("/nonexistent"), *arguments, **place)


async def test_the_command_shows_and_saves_a_report(
    world: World, client: Client, tmp_path: Path
) -> None:
    path = await finished_report(world, client, title="Shown by the command")
    report = (await client.get(path)).json()
    shown = await command(world, client, "report", report["execution_id"])
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("# Shown by the command\n")
    for name, begin in (("a.pdf", b"%PDF-"), ("a.HTML", b"<!doctype html>"), ("a.md", b"# Shown")):
        file = tmp_path / name
        saved = await command(world, client, "report", report["id"], "-o", str(file))
        assert saved.returncode == 0, saved.stderr
        assert file.read_bytes().lstrip().startswith(begin)
    listed = await command(world, client, "reports", "list", "--json")
    assert report["id"] in [item["id"] for item in json.loads(listed.stdout)["items"]]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("-o", "report.docx"), "no known format"),
        (("-o", "/nonexistent/report.pdf"), "can't be written"),
    ],
)
async def test_the_command_says_what_is_wrong(
    world: World, client: Client, arguments: tuple[str, ...], why: str
) -> None:
    path = await finished_report(world, client)
    identifier = path.split("/")[-2]
    result = await command(world, client, "report", identifier, *arguments)
    assert result.returncode == 2
    assert why in result.stderr


async def test_the_command_says_what_is_not_there(world: World, client: Client) -> None:
    result = await command(world, client, "report", str(new_id()))
    assert result.returncode == 2
    assert "does not exist" in result.stderr
