"""`agents` and the the commands of `tasks` for versions and dry runs, at a real gateway."""

import json
from pathlib import Path

from agent_library.built_in import built_in_agents
from domain.ids import new_id
from tests.api.world import World, make_task
from tests.cli.conftest import Command

FILE = """\
---
name: Code Poet
tools: Read, WebFetch
color: red
---
You write verse.
"""


async def test_agents_are_listed_and_shown(perdure: Command) -> None:
    listed = await perdure("agents", "list")
    assert listed.returncode == 0, listed.output
    assert all(slug in listed.output for slug in built_in_agents())
    assert "No agents of yours" in (await perdure("agents", "list", "--mine")).output
    shown = json.loads((await perdure("agents", "show", "tester", "--json")).output)
    assert shown["system_prompt"] == built_in_agents()["tester"].system_prompt


async def test_an_agents_file_is_imported_again_and_again(perdure: Command, tmp_path: Path) -> None:
    file = tmp_path / "poet.md"
    file.write_text(FILE)
    made = await perdure("agents", "import", str(file))
    assert made.returncode == 0, made.output
    assert "code-poet" in made.output
    assert "color, tools: WebFetch" in made.output
    assert (await perdure("agents", "import", str(file))).returncode != 0
    file.write_text(FILE.replace("verse", "prose"))
    assert (await perdure("agents", "import", "--replace", str(file))).returncode == 0
    shown = json.loads((await perdure("agents", "show", "code-poet", "--json")).output)
    assert shown["system_prompt"] == "You write prose."


async def test_a_tasks_versions_and_a_dry_run_are_shown(perdure: Command, world: World) -> None:
    async with world.client("alice") as client:
        task = await make_task(client, name=f"greet {new_id()}")
        await client.patch(task["_links"]["self"], json={"prompt_template": "Say bye."})
    versions = await perdure("tasks", "versions", task["name"])
    lines = versions.output.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    assert "Say bye." in lines[1]
    shown = await perdure("tasks", "dry-run", task["id"])
    assert shown.returncode == 0, shown.output
    assert "no forecast" in shown.output
    assert "Say bye." in shown.output
    as_json = await perdure(
        "tasks", "dry-run", task["id"], "-v", "a=b", "--max-budget-usd", "1", "--json"
    )
    assert json.loads(as_json.output)["budget_usd"] == 1
