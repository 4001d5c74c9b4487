"""`agents` and the the commands of `tasks` for versions and dry runs, at a real gateway."""

import json
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import update

from agent_library.built_in import load_built_in_agents
from domain.ids import new_id
from persistence.tables.definitions import McpServerRow, TaskRow, TaskTemplateRow, ToolGroupRow
from tests.api.world import World, make_named, make_task
from tests.cli.conftest import Command

FILE = """\
---
name: Code Poet
tools: Read, NotebookEdit
color: red
---
You write verse.
"""


async def test_agents_are_listed_and_shown(perdure: Command) -> None:
    listed = await perdure("agents", "list")
    assert listed.returncode == 0, listed.output
    assert all(slug in listed.output for slug in load_built_in_agents())
    assert "No agents of yours" in (await perdure("agents", "list", "--mine")).output
    shown = json.loads((await perdure("agents", "get", "tester", "--json")).output)
    assert shown["system_prompt"] == load_built_in_agents()["tester"].system_prompt


async def test_an_agents_file_is_imported_again_and_again(perdure: Command, tmp_path: Path) -> None:
    file = tmp_path / "poet.md"
    file.write_text(FILE)
    made = await perdure("agents", "import", str(file))
    assert made.returncode == 0, made.output
    assert "code-poet" in made.output
    assert "color, tools: NotebookEdit" in made.output
    assert (await perdure("agents", "import", str(file))).returncode != 0
    file.write_text(FILE.replace("verse", "prose"))
    assert (await perdure("agents", "import", "--replace", str(file))).returncode == 0
    shown = json.loads((await perdure("agents", "get", "code-poet", "--json")).output)
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


async def test_each_files_outcome_is_shown(perdure: Command, tmp_path: Path) -> None:
    texts = {
        "a.md": FILE,
        "guide.md": "# Guide\n\n---\n\nname: value\n\n---\n\nMore.",
        "twice.md": "---\nname: t\ntools: Read\ntools: Bash\n---\nb",
        "latin.md": None,
        "b.md": FILE.replace("Poet", "Critic"),
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.encode() if text else b"---\nname: \xff\n---\nb")
    paths = [str(tmp_path / name) for name in texts]
    made = await perdure("agents", "import", *paths)
    assert made.returncode == 2
    assert [line.split()[0] for line in made.stdout.splitlines()] == ["code-poet", "code-critic"]
    refusals = [line for line in made.stderr.splitlines() if "refused" in line]
    assert [
        f"{name}:" in refusals[n] for n, name in enumerate(["guide.md", "twice.md", "latin.md"])
    ]
    assert "no front matter" in made.stderr
    assert "Line 4: The key 'tools' appears twice, first in line 3" in made.stderr
    again = json.loads((await perdure("agents", "import", "--json", *paths)).stdout)
    assert [Path(result["file"]).name for result in again] == list(texts)
    assert all("refusal" in result for result in again)


@pytest.mark.parametrize("tools", ["", " null", " ~", " []", " Read", " *"])
async def test_every_way_reads_an_agents_file_alike(
    perdure: Command, world: World, tmp_path: Path, tools: str
) -> None:
    text = "---\nname: {}\ndescription: Use it: now\ntools:{}\n---\nb"
    for name in ("imported", "applied"):
        file = tmp_path / "agents" / f"{name}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text.format(name, tools))
    assert (await perdure("agents", "import", str(file.with_name("imported.md")))).returncode == 0
    assert (await perdure("apply", "-f", str(file))).returncode == 0
    async with world.client("alice") as client:
        body = {"markdown": text.format("sent", tools)}
        await client.post("/api/v1/agents/import", json=body)
        read = [
            (await client.get(f"/api/v1/agents/{name}")).json()["allowed_tools"]
            for name in ("imported", "applied", "sent")
        ]
    assert read[0] == read[1] == read[2]


async def test_a_directory_of_agents_is_imported_and_exported_again(
    perdure: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "team" / "more"
    folder.mkdir(parents=True)
    (folder.parent / "README.md").write_text("# Our agents")
    (folder.parent / "first.md").write_text("---\nname: team-first\ntools: Read\n---\nb")
    (folder / "second.md").write_text("---\nname: team-second\ntools: Bash(git:*)\n---\nb")
    made = json.loads((await perdure("agents", "import", "--json", str(folder.parent))).stdout)
    assert [agent["agent_id"] for agent in made] == ["team-first", "team-second"]
    printed = await perdure("agents", "export", "team-second")
    file = tmp_path / "second.md"
    assert (await perdure("agents", "export", "team-second", "-o", str(file))).returncode == 0
    assert file.read_text() == printed.stdout
    again = await perdure("agents", "import", "--replace", "--json", str(file))
    [agent] = json.loads(again.stdout)
    assert (agent["allowed_tools"], agent["ignored"]) == (["bash(git *)"], [])
    empty = await perdure("agents", "pending", "team-first")
    assert "No work waits for this agent." in empty.stdout


NAMES = ("notes.md", "x.yaml", "a/b", "..", "0123456789abcdef0123456789abcdef", "last")


@pytest.mark.parametrize("name", NAMES)
async def test_a_task_is_found_by_any_name(perdure: Command, world: World, name: str) -> None:
    async with world.client("alice") as client:
        task = await make_task(client, name=name)
    shown = await perdure("tasks", "get", name, "--json")
    assert json.loads(shown.stdout)["id"] == task["id"]


async def test_what_is_neither_a_file_nor_a_name_is_wrong_usage(perdure: Command) -> None:
    for name, what in (("missing.yaml", "file"), (str(new_id()), "task"), ("x" * 300, "task")):
        result = await perdure("run", name)
        assert result.returncode == 2
        assert f"There is no {what} {name!r}" in result.stderr


async def test_definitions_are_read_from_stdin(perdure: Command) -> None:
    name = f"piped {new_id()}"
    text = f"name: {name}\nprompt_template: Hello.\n"
    applied = await perdure("apply", "-f", "-", typed=text)
    assert f"created  task {name}" in applied.output
    exported = await perdure("export", name)
    assert "1 unchanged" in (await perdure("apply", "-f", "-", typed=exported.stdout)).output
    started = await perdure("run", "-", "--detach", typed=text)
    assert started.returncode == 0, started.output
    imported = await perdure("agents", "import", "--replace", "-", typed=FILE)
    assert "code-poet" in imported.output


TABLES: dict[str, type[TaskRow | TaskTemplateRow | ToolGroupRow | McpServerRow]] = {
    "tasks": TaskRow,
    "task-templates": TaskTemplateRow,
    "tool-groups": ToolGroupRow,
    "mcp-servers": McpServerRow,
}


async def store_name(world: World, path: str, id_: str, name: str) -> None:
    """Give a stored resource a name that earlier versions accepted."""
    table = TABLES[path]
    async with world.gateway.database.transaction() as session:
        await session.execute(update(table).where(table.id == UUID(id_)).values(name=name))


@pytest.mark.parametrize(
    ("path", "group"),
    [
        ("tasks", "tasks"),
        ("task-templates", "templates"),
        ("tool-groups", "tool-groups"),
        ("mcp-servers", "mcp-servers"),
    ],
)
async def test_a_stored_name_that_looks_like_an_id_is_found(
    perdure: Command, world: World, path: str, group: str
) -> None:
    async with world.client("alice") as client:
        made, clash = [await make_named(client, path, f"name-{new_id()}") for _ in range(2)]
        await store_name(world, path, made["id"], str(new_id()))
        made = (await client.get(made["_links"]["self"])).json()
        shown = await perdure(group, "get", made["name"], "--json")
        assert json.loads(shown.stdout)["id"] == made["id"]
        await store_name(world, path, clash["id"], made["id"])
        refused = await perdure(group, "get", made["id"], "--json")
        assert refused.returncode == 2
        assert clash["id"] in refused.stderr
        shown = await perdure(group, "get", clash["id"], "--json")
        assert json.loads(shown.stdout)["id"] == clash["id"]
