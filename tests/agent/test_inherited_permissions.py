"""What a subtask may do: the tools, hosts, memory and limits of its parent and its agent."""

from domain.agents.agent import Agent
from domain.memory.entries import NO_MEMORY, MemoryAccess, NamespaceAccess
from tests.agent.in_memory.driver import Runner, use
from tests.agent.test_subtasks import LAST_RESULT, delegate, find_child


async def test_tools_and_limits_are_inherited(runner: Runner) -> None:
    listing = {"tool_use": use("list_files"), "repeat": 5}
    children = [
        delegate(listing, allowed_tools=["list_files"], max_turns=2),
        delegate(
            {"tool_use": use("bash", command="id")}, {"text": "-"}, allowed_tools=["list_files"]
        ),
        delegate({"text": "x"}, allowed_tools=["save_artifact"]),
    ]
    run = await runner.run_to_completion(
        {"tool_use": children}, LAST_RESULT, allowed_tools=["delegate", "list_files", "bash"]
    )
    limited, narrowed, greedy = [result["content"] for result in await run.results()]
    assert "max_turns" in limited
    assert narrowed == "-"
    [refused] = await (await run.children())[1].results()
    assert "There is no tool named 'bash' here. The tools are: list_files." in refused["content"]
    assert "only tools you have yourself, not save_artifact" in greedy


async def test_a_subtask_has_the_tools_that_its_parent_and_its_agent_have(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "x"}, agent_id="reviewer")},
        {"text": "done"},
        allowed_tools=["delegate", "bash", "read_file(src/**)"],
        ask_tools=["write_file", "bash(git push *)"],
        disallowed_tools=["bash(git log *)"],
    )
    definition = (await (await find_child(run)).row()).definition
    assert sorted(definition["allowed_tools"]) == ["bash(git *)", "read_file(src/**)"]
    assert definition["ask_tools"] == ["bash(git push *)"]
    assert definition["disallowed_tools"] == ["bash(git log *)"]


async def test_an_agent_gets_no_tool_that_it_does_not_have(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "x"}, agent_id="reviewer", allowed_tools=["write_file"])},
        LAST_RESULT,
        allowed_tools=["delegate", "write_file"],
    )
    assert "The agent 'reviewer' has only some of these tools, not write_file." in await run.text()


async def test_tools_that_are_not_passed_on_are_not_offered_for_approval(runner: Runner) -> None:
    run = await runner.run_to_completion(
        {"tool_use": delegate({"text": "x"}, allowed_tools=["list_files"])},
        {"text": "done"},
        allowed_tools=["delegate", "list_files"],
        ask_tools=["bash", "list_files(secret/**)"],
    )
    definition = (await (await find_child(run)).row()).definition
    assert definition["allowed_tools"] == ["list_files"]
    assert definition["ask_tools"] == ["list_files(secret/**)"]


async def test_a_subtask_reaches_what_its_parent_and_its_agent_may(runner: Runner) -> None:
    runner.executions.agents = {
        slug: Agent(slug, slug, "", "You read.", allowed_tools=("ask_user",), network=network)
        for slug, network in {
            "narrow": ("api.example.com:443", "other.example"),
            "closed": (),
            "open": None,
        }.items()
    }
    calls = [delegate({"text": "x"}, agent_id=slug) for slug in ("narrow", "closed", "open")]
    run = await runner.run_to_completion(
        {"tool_use": [*calls, delegate({"text": "x"})]},
        LAST_RESULT,
        allowed_tools=["delegate", "ask_user"],
        network={"allow": ["*.example.com"]},
    )
    children = [runner.executions.by_id[child.id] for child in await run.children()]
    assert [child.prefix and list(child.prefix.network) for child in children] == [
        ["api.example.com:443"],
        [],
        ["*.example.com"],
        ["*.example.com"],
    ]


async def test_a_subtask_has_what_its_parent_and_its_agent_may_remember(runner: Runner) -> None:
    own = (NamespaceAccess("project:x:notes", "write"), NamespaceAccess("user:me", "write"))
    runner.executions.agents = {
        slug: Agent(slug, slug, "", "You read.", allowed_tools=("memory_get",), memory=memory)
        for slug, memory in {
            "narrow": MemoryAccess((*own, NamespaceAccess("project:x2", "write"))),
            "closed": NO_MEMORY,
            "open": None,
        }.items()
    }
    calls = [delegate({"text": "x"}, agent_id=slug) for slug in ("narrow", "closed", "open")]
    namespaces = MemoryAccess((NamespaceAccess("project:x", "write"), NamespaceAccess("user:me")))
    run = await runner.run_to_completion(
        {"tool_use": [*calls, delegate({"text": "x"})]},
        LAST_RESULT,
        allowed_tools=["delegate", "memory_get"],
        memory={"namespaces": namespaces.as_json()},
    )
    children = [runner.executions.by_id[child.id] for child in await run.children()]
    found = [child.prefix and MemoryAccess.parse(child.prefix.memory) for child in children]
    narrow = MemoryAccess((own[0], NamespaceAccess("user:me")))
    assert found == [narrow, NO_MEMORY, namespaces, namespaces]
    assert children[0].prefix is not None
    assert "project:x:notes (read and write)" in str(children[0].prefix.tools)
