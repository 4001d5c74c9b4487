"""What a task may not be: shared with too much in its hands, or at work where nobody opened."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.main import create_app
from domain.ids import new_id
from tests.api.conftest import serve_app, settings_of
from tests.api.world import TASK, World, execute, make_task

Client = httpx2.AsyncClient


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that the operator lists."""
    return tmp_path_factory.mktemp("opened")


@pytest.fixture(scope="module")
async def world(
    module_database_url: str, temporal_address: str, opened: Path
) -> AsyncIterator[World]:
    settings = settings_of(module_database_url, temporal_address, working_directories=[str(opened)])
    app = create_app(settings)
    async with serve_app(app) as url:
        yield World(url, app.state.gateway)


async def test_a_task_works_below_a_listed_directory(client: Client, opened: Path) -> None:
    (opened / "project").mkdir()
    task = await make_task(client, working_directory_path=str(opened / "project"))
    assert task["working_directory_path"] == str(opened / "project")
    elsewhere = {"working_directory_path": "/etc"}
    refused = await client.patch(task["_links"]["self"], json=elsewhere)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"] == ["body", "working_directory_path"]
    assert "PERDURE_WORKING_DIRECTORIES" in refused.json()["errors"][0]["msg"]


async def test_a_link_that_leads_out_is_refused(client: Client, opened: Path) -> None:
    (opened / "out").symlink_to("/etc")
    for path in (str(opened / "out"), f"{opened}/../etc", "project"):
        body = {**TASK, "working_directory_path": path}
        assert (await client.post("/api/v1/tasks", json=body)).status_code == 422, path


BROKEN: list[dict[str, Any]] = [
    {"sdk_options": {"permission_mode": "bypassPermissions"}},
    {"sdk_options": {"mcp_servers": {"x": {"command": "sh"}}}},
    {"working_directory_path": "."},
    {"prompt_template": "x" * 300_000},
    {"default_variables": {"name": ["x" * 3_000] * 100}},
]


@pytest.mark.parametrize(
    "definition", BROKEN, ids=["bypass", "command", "directory", "prompt", "variables"]
)
async def test_what_reaches_too_far_is_not_shared(
    admin: Client, opened: Path, definition: dict[str, Any]
) -> None:
    if "working_directory_path" in definition:
        definition = {"working_directory_path": str(opened)}
    task = await make_task(admin, **definition)
    refused = await admin.patch(task["_links"]["self"], json={"is_public": True})
    assert refused.status_code == 422
    assert not (await admin.get(task["_links"]["self"])).json()["is_public"]
    public = await make_task(admin, is_public=True)
    refused = await admin.patch(public["_links"]["self"], json=definition)
    assert refused.status_code == 422
    body = {**TASK, "name": new_id().hex, "is_public": True, **definition}
    assert (await admin.post("/api/v1/tasks", json=body)).status_code == 422


async def test_a_public_task_runs_in_the_name_of_who_runs_it(client: Client, other: Client) -> None:
    task = await make_task(client, is_public=True)
    execution = await execute(other, task)
    assert execution["user_id"] != task["user_id"]
    path = execution["_links"]["self"]
    assert (await other.get(path)).status_code == 200
    assert (await client.get(path)).status_code == 403
    executions = (await client.get(task["_links"]["executions"])).json()
    assert executions["total"] == 0
    assert (await other.patch(task["_links"]["self"], json={"name": "x"})).status_code == 403
    assert (await other.delete(task["_links"]["self"])).status_code == 403


@pytest.mark.parametrize(
    ("definition", "change", "where"),
    [
        ({}, {"schedule_cron": "never"}, "schedule_cron"),
        ({}, {"is_scheduled": True}, "schedule_cron"),
        (
            {"is_scheduled": True, "schedule_cron": "0 9 * * *"},
            {"schedule_cron": None},
            "schedule_cron",
        ),
        ({}, {"generate_report": True}, "report_format"),
        (
            {"generate_report": True, "report_format": "pdf"},
            {"report_format": None},
            "report_format",
        ),
        ({}, {"agent_id": "nobody"}, "agent_id"),
        (
            {"sdk_options": {"model": "x"}},
            {"sdk_options": {"model": "x", "max_budget_usd": 1}},
            "sdk_options",
        ),
    ],
)
async def test_a_patch_is_checked_as_the_whole_task_it_makes(
    client: Client, definition: dict[str, Any], change: dict[str, Any], where: str
) -> None:
    task = await make_task(client, **definition)
    refused = await client.patch(task["_links"]["self"], json=change)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["loc"][1] == where, refused.text
    assert (await client.get(task["_links"]["self"])).json() == task
