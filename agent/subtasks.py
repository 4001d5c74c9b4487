"""`delegate` and `delegate_many`: make subtasks from their parent's definition."""

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from domain.agents.agent import BUILT_IN_SLUGS, Agent
from domain.errors import ToolInputError
from domain.executions.limits import MAX_DELEGATIONS_PER_TURN, MAX_DEPTH, MAX_DESCENDANTS
from domain.executions.steps import NewChild, Snapshot, ToolCall
from domain.ids import new_id
from domain.memory.entries import MAX_TASK_NAMESPACES, MemoryAccess
from domain.rules.inherited import common_rules, rules_for_tools
from domain.rules.permissions import Permissions
from domain.tools.engine import DELEGATE_MANY
from domain.web.network import NetworkList

INHERITED = (
    "system_prompt", "disallowed_tools", "human_input_policy", "notification_config",
)  # fmt: skip
"""Fields that a subtask inherits unchanged. It notifies only about its questions."""

INHERITED_OPTIONS = ("model", "max_tokens", "temperature", "thinking", "effort", "permission_mode")
"""Model options that a subtask inherits; its limits and output schema are its own."""

Subtask = Mapping[str, Any]
"""One subtask as the model requests it (`domain.tools.engine`)."""


def read_subtasks(call: ToolCall) -> Sequence[Subtask]:
    """The subtasks that a call with a valid input requests."""
    requested: dict[str, Any] = json.loads(call.input_to_run)
    if call.name != DELEGATE_MANY:
        return [requested]
    subtasks: list[Subtask] = requested["subtasks"]
    return subtasks


def make_children(
    parent: Snapshot, call: ToolCall, agents: Mapping[str, Agent]
) -> Sequence[NewChild]:
    """Make the subtasks of a call; `agents` has those of the named agents that exist.

    Raises:
        ToolInputError: they are too deep, or one of them asks for an agent or tools that its parent
            may not use. None is made then.
    """
    if parent.depth >= MAX_DEPTH:
        raise ToolInputError(f"Subtasks go {MAX_DEPTH} levels deep at most; do this one yourself.")
    children, problems = [], []
    for number, subtask in enumerate(read_subtasks(call), 1):
        try:
            children.append(_make_child(parent, call, subtask, agents))
        except ToolInputError as error:
            place = f"Subtask {number} was refused: " if call.name == DELEGATE_MANY else ""
            problems.append(f"{place}{error.detail}")
    if problems and call.name == DELEGATE_MANY:
        problems.append("No subtask was started; correct the call and send it again.")
    if problems:
        raise ToolInputError("\n".join(problems))
    return children


def _make_child(
    parent: Snapshot, call: ToolCall, subtask: Subtask, agents: Mapping[str, Agent]
) -> NewChild:
    agent = _choose_agent(parent, subtask.get("agent_id"), agents)
    permissions = _choose_tools(parent, subtask.get("allowed_tools"), agent)
    budget = subtask.get("max_budget_usd")
    return NewChild(
        id=new_id(),
        tool_call_id=call.id,
        title=subtask["title"],
        definition={
            **{k: parent.definition[k] for k in INHERITED if k in parent.definition},
            "prompt_template": subtask["prompt"],
            "agent_id": agent.slug if agent else None,
            "allowed_tools": permissions.allowed,
            "ask_tools": permissions.ask,
            "sdk_options": _choose_options(parent, subtask, agent, permissions),
            **_choose_network(parent, agent),
            **_choose_memory(parent, agent),
        },
        budget_usd=None if budget is None else Decimal(str(budget)),
        agent_id=agent.slug if agent else None,
        executor=agent.executor if agent else "claude",
    )


def _choose_agent(parent: Snapshot, slug: str | None, agents: Mapping[str, Agent]) -> Agent | None:
    if slug is None:
        return None
    if slug == parent.definition.get("agent_id"):
        raise ToolInputError(
            f"You are the agent {slug!r}, and an agent can't delegate to itself. Do this part "
            "yourself, or leave out agent_id or name another agent."
        )
    if slug not in agents:
        raise ToolInputError(
            f"There is no agent {slug!r}. Built-in agents are: {', '.join(BUILT_IN_SLUGS)}. "
            "Name one of them or an agent of the user, or leave out agent_id."
        )
    return agents[slug]


def _choose_options(
    parent: Snapshot, subtask: Subtask, agent: Agent | None, permissions: Permissions
) -> dict[str, Any]:
    options = parent.definition.get("sdk_options", {})
    chosen = {k: options[k] for k in INHERITED_OPTIONS if options.get(k) is not None}
    if "max_turns" in subtask:
        chosen["max_turns"] = subtask["max_turns"]
    if servers := _choose_servers(options.get("mcp_servers", {}), permissions):
        chosen["mcp_servers"] = servers
    if agent is None:
        # The parent's model may be that of its agent; a child without an agent keeps it.
        chosen.setdefault("model", parent.prefix.model)
    return chosen


def _choose_network(parent: Snapshot, agent: Agent | None) -> dict[str, Any]:
    """The hosts of the parent; the agent of the subtask can only narrow them."""
    allowed = NetworkList.parse(parent.prefix.network)
    if agent is not None and agent.network is not None:
        allowed = allowed.intersection(NetworkList.parse(agent.network))
    return {"network": {"allow": list(allowed.texts())}} if allowed else {}


def _choose_memory(parent: Snapshot, agent: Agent | None) -> dict[str, Any]:
    """The namespaces of the parent; the agent of the subtask can only narrow them."""
    memory = MemoryAccess.parse(parent.prefix.memory)
    if agent is not None and agent.memory is not None:
        memory = memory.intersection(agent.memory)
    if len(memory.namespaces) > MAX_TASK_NAMESPACES:
        raise ToolInputError(
            f"A subtask with this agent has more than {MAX_TASK_NAMESPACES} memory namespaces; "
            "leave out agent_id."
        )
    return {"memory": {"namespaces": memory.as_json()}} if memory else {}


def _choose_servers(servers: Mapping[str, Any], permissions: Permissions) -> dict[str, Any]:
    """The MCP servers of the parent whose tools the subtask has."""
    rules = [*permissions.allowed, *permissions.ask]
    return {
        name: server
        for name, server in servers.items()
        if rules_for_tools(rules, [f"mcp__{name}__*"], must_restrict=False)
    }


def _choose_tools(
    parent: Snapshot, names: Sequence[str] | None, agent: Agent | None
) -> Permissions:
    """The subtask's rules: at most those of its parent and of its agent, for these tools."""
    own = parent.permissions
    _require_offered(own, names, "You can pass on only tools you have yourself")
    allowed, ask = own.allowed, own.ask
    if agent is not None:
        allowed = common_rules(allowed, agent.allowed_tools)
        tools = [rule.partition("(")[0] for rule in agent.allowed_tools]
        ask = rules_for_tools(ask, tools, must_restrict=True)
        narrowed = Permissions(allowed, ask, own.disallowed, own.mode)
        _require_offered(narrowed, names, f"The agent {agent.slug!r} has only some of these tools")
    if names is not None:
        allowed = rules_for_tools(allowed, names, must_restrict=False)
        ask = rules_for_tools(ask, names, must_restrict=True)
    return Permissions(allowed, ask, own.disallowed, own.mode)


def _require_offered(permissions: Permissions, names: Sequence[str] | None, refusal: str) -> None:
    missing = [name for name in names or () if not permissions.offers(name)]
    if missing:
        raise ToolInputError(f"{refusal}, not {', '.join(missing)}.")


def limit_problem(new: int, *, of_turn: int, descendants: int) -> str | None:
    """Why a turn may not start this many new subtasks, as a sentence for the model, or None.

    `of_turn` counts all subtasks of the turn, `descendants` the existing ones of the whole tree.
    """
    if of_turn > MAX_DELEGATIONS_PER_TURN:
        return f"At most {MAX_DELEGATIONS_PER_TURN} subtasks may be started in one turn."
    if new + descendants > MAX_DESCENDANTS:
        return f"An execution may have {MAX_DESCENDANTS} subtasks in all; there are {descendants}."
    return None
