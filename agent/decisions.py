"""Decides for each new tool call whether it runs, is denied, or needs a person."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from agent import input_requests
from agent.ports import Record, Tools
from agent.subtasks import make_children, read_subtasks
from domain.errors import ErrorCode, ToolInputError
from domain.executions.steps import (
    Failure,
    NewChild,
    NewRequest,
    OpenRequest,
    Snapshot,
    ToolCall,
    ToolCallStatus,
)
from domain.ids import new_id, read_creation_time
from domain.json_schemas import SchemaEvaluator
from domain.mcp.remote_waits import DECLINED_RESPONSE, RemoteQuestion
from domain.mcp.tools import read_pins, spec_of
from domain.people.answers import Asked, check_default
from domain.people.rechecks import RECHECK_TURNS, RECHECKED, REPEATED
from domain.people.remembered_decisions import RememberedDecision, choose, reach_sha256
from domain.rules.decisions import decide, is_covered
from domain.text import clean
from domain.tools.builtin import BASH, effect_of
from domain.tools.calls import ProcessIdentity, ToolEffect, ToolInvocation, ToolSpec
from domain.tools.engine import ASK_USER, DELEGATIONS, ENGINE_TOOLS, SUBMIT_PLAN
from domain.tools.requirements import ToolRequirement, unmet_requirement

_QUESTIONS = frozenset({ASK_USER, SUBMIT_PLAN})
"""Tools whose calls are settled by the answer of a person."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A decided call, and what must be recorded with it."""

    call: ToolCall
    request: NewRequest | None = None
    children: Sequence[NewChild] = ()
    failure: Failure | None = None


class Decider:
    """Applies the execution's permissions and policies to the calls of one turn."""

    def __init__(
        self,
        snapshot: Snapshot,
        tools: Tools,
        schemas: SchemaEvaluator,
        record: Record,
    ) -> None:
        """`snapshot` contains the permissions, the input policy and the depth."""
        self._snapshot = snapshot
        self._tools = tools
        self._schemas = schemas
        self._record = record
        self._is_plan_approved = False
        self._repeated: set[tuple[str, str]] = set()
        """Calls of the present turn that an earlier approval lets run."""
        self.pinned = read_pins(snapshot.prefix.mcp)
        """The tools of MCP servers, by name."""
        self._remote_specs = {
            definition["name"]: spec_of(self.pinned[definition["name"]], definition)
            for definition in snapshot.prefix.tools
            if definition["name"] in self.pinned
        }

    async def decide(
        self,
        uses: Sequence[Mapping[str, Any]],
        *,
        turn: int,
        malformed: Mapping[str, str],
        now: datetime,
    ) -> Sequence[Decision]:
        """Decide on each `tool_use` block, in the model's order.

        `malformed` contains the raw text of inputs that were not JSON, by tool use id.
        """
        self._repeated.clear()
        await self._lift_plan_mode()
        return [
            await self._decide(self._call(use, turn, position, malformed), malformed, now)
            for position, use in enumerate(uses)
        ]

    def _call(
        self, use: Mapping[str, Any], turn: int, position: int, malformed: Mapping[str, str]
    ) -> ToolCall:
        text = clean(malformed.get(use["id"], json.dumps(use["input"])))
        spec = self.spec(use["name"])
        return ToolCall(
            id=new_id(),
            turn=turn,
            position=position,
            tool_use_id=use["id"],
            name=use["name"],
            input=text,
            input_sha256=hashlib.sha256(text.encode()).digest(),
            effect=self._effect(spec, use["input"]) if spec else ToolEffect.READ_ONLY,
            status=ToolCallStatus.READY,
        )

    def spec(self, name: str) -> ToolSpec | None:
        """The tool with this name, if this execution offers it."""
        if not self._snapshot.permissions.offers(name) or self._unmet_requirement(name):
            return None
        own = ENGINE_TOOLS.get(name) or self._tools.spec(name)
        return own or self._remote_specs.get(name)

    def _unmet_requirement(self, name: str) -> ToolRequirement | None:
        """What a tool that the task offers needs, and this execution does not have."""
        if not self._snapshot.permissions.offers(name):
            return None
        return unmet_requirement(name, self._snapshot.prefix.resources)

    def mark_started(self, call: ToolCall, process: ProcessIdentity | None) -> ToolCall:
        """The call as it starts in this worker, whose sandbox decides what the call can change."""
        return replace(
            call, status=ToolCallStatus.STARTED, process=process, effect=self.effect_of(call)
        )

    def effect_of(self, call: ToolCall) -> ToolEffect:
        """What the call can change in this worker, with the input that a person may have edited."""
        spec = self.spec(call.name)
        return call.effect if spec is None else self._effect(spec, json.loads(call.input_to_run))

    def _effect(self, spec: ToolSpec, tool_input: Any) -> ToolEffect:
        """What a call can change: a directory of the host and the network are external."""
        is_shared = self._snapshot.definition.get("working_directory_path") is not None
        has_network = spec.name == BASH and bool(self._snapshot.prefix.network)
        if (is_shared or has_network) and spec.effect is ToolEffect.WORKSPACE:
            return ToolEffect.EXTERNAL
        return effect_of(spec, tool_input)

    async def problem(self, call: ToolCall, malformed: Mapping[str, str]) -> str | None:
        """Why the call can't run at all, as a sentence for the model."""
        if call.name == SUBMIT_PLAN and self._is_plan_approved:
            return "A person has approved your plan already. Carry it out."
        if need := self._unmet_requirement(call.name):
            lack = f"this execution has no {need.resource}"
            return f"{call.name} can't be used here: {lack}. {need.remedy}"
        if self.spec(call.name) is None:
            offered = ", ".join(sorted(t["name"] for t in self._snapshot.prefix.tools)) or "none"
            return f"There is no tool named {call.name!r} here. The tools are: {offered}."
        if call.tool_use_id in malformed:
            return "The input was not valid JSON. Send the call again with a JSON object."
        tool_input = json.loads(call.input_to_run)
        if (remote := self._remote_specs.get(call.name)) is not None:
            return await self._remote_input_problem(remote, tool_input)
        return self._tools.input_problem(call.name, tool_input)

    async def _remote_input_problem(self, spec: ToolSpec, tool_input: object) -> str | None:
        """Compare the input with the server's schema, in the process for schemas of others."""
        user_id = self._snapshot.user_id
        problems = await self._schemas.value_problems(user_id, spec.input_schema, tool_input)
        if not problems:
            return None
        field = ".".join(str(part) for part in problems[0].path)
        where = f", field {field}" if field else ""
        return f"The input does not fit {spec.name}{where}: {problems[0].msg}."

    async def _decide(
        self, call: ToolCall, malformed: Mapping[str, str], now: datetime
    ) -> Decision:
        if self._snapshot.permissions.forbids(call.name):
            return Decision(refuse(call, ToolCallStatus.DENIED, f"This task forbids {call.name}."))
        if problem := await self.problem(call, malformed):
            return Decision(refuse(call, ToolCallStatus.FAILED, problem))
        if call.name in _QUESTIONS:
            return self._ask(call, self._make_question(call, now))
        verdict = decide(self._snapshot.permissions, call.name, json.loads(call.input), call.effect)
        if verdict.kind == "deny":
            return Decision(refuse(call, ToolCallStatus.DENIED, verdict.reason))
        if verdict.kind == "ask":
            decided = await self._apply_repeated(call) or await self._apply_remembered(call)
            return decided or self._ask_approval(replace(call, reason=verdict.reason), now)
        return await self.delegate(call) if call.name in DELEGATIONS else Decision(call)

    def _make_question(self, call: ToolCall, now: datetime) -> NewRequest:
        people = self._snapshot.people
        if call.name == ASK_USER:
            return input_requests.question_request(call, people, now)
        schema = ENGINE_TOOLS[call.name].input_schema
        return input_requests.plan_request(call, people, now, schema=schema)

    async def _lift_plan_mode(self) -> None:
        """Let the rules decide, also for subtasks, once a person has approved the plan."""
        snapshot = self._snapshot
        if snapshot.permissions.mode != "plan":
            return
        if await self._record.has_succeeded(SUBMIT_PLAN):
            self._is_plan_approved = True
            options = {**snapshot.definition.get("sdk_options", {}), "permission_mode": "default"}
            self._snapshot = replace(
                snapshot,
                permissions=replace(snapshot.permissions, mode="default"),
                definition={**snapshot.definition, "sdk_options": options},
            )

    def _ask_approval(self, call: ToolCall, now: datetime) -> Decision:
        spec = self.spec(call.name)
        schema = spec.input_schema if spec is not None else None
        request = input_requests.approval_request(
            call, self._snapshot.people, now, schema=schema, reach_sha256=self._reach_of(call)
        )
        return self._ask(call, request)

    async def _apply_repeated(self, call: ToolCall) -> Decision | None:
        """Let a call run that a person has approved before the model was asked again, or None."""
        if not self._must_recheck(call) or (call.name, call.input) in self._repeated:
            return None
        since = call.turn - RECHECK_TURNS
        if await self._record.find_reason(call.name, call.input, since_turn=since) != RECHECKED:
            return None
        self._repeated.add((call.name, call.input))
        return Decision(replace(call, status=ToolCallStatus.APPROVED, reason=REPEATED))

    async def find_stale(
        self, call: ToolCall, invoke: Callable[[ToolCall], ToolInvocation]
    ) -> ToolCall | None:
        """An approved call as it ends without running, if its approval is stale; otherwise None."""
        if not self._must_recheck(call):
            return None
        age = await self._record.find_approval_age(call.id)
        if age is None:
            return None
        if (invocation := invoke(call)).working_directory is not None:
            changed = await self._tools.list_changed(invocation, read_creation_time(call.id))
            age = replace(age, changed_files=[path for path in changed if path not in age.files])
        if not age.is_stale:
            return None
        return replace(
            call,
            status=ToolCallStatus.DENIED,
            output=age.describe(call.approved_input),
            is_error=True,
            reason=RECHECKED,
        )

    def _must_recheck(self, call: ToolCall) -> bool:
        rules = self._snapshot.people.recheck_tools
        return bool(rules) and is_covered(rules, call.name, json.loads(call.input_to_run))

    async def _apply_remembered(self, call: ToolCall) -> Decision | None:
        """What a remembered decision says about a call that needs approval, or None."""
        reach = self._reach_of(call)
        found = await self._record.find_remembered(call.name)
        rules = [r for r in found if r.reach_sha256 == reach and self._may_decide(r)]
        rule = choose(rules, json.loads(call.input), call.input_sha256)
        if rule is None:
            return None
        # The reason stays with the call: after a crash it is still an approved one.
        decided = replace(call, reason=rule.describe(), remembered_decision_id=rule.id)
        if rule.decision == "approve":
            return Decision(replace(decided, status=ToolCallStatus.APPROVED))
        return Decision(input_requests.deny(decided, rule.describe(), rule.message))

    def _may_decide(self, rule: RememberedDecision) -> bool:
        """Whether the task still lets the author of a rule approve alone; denials always count."""
        people = self._snapshot.people
        is_starter = rule.author_id == self._snapshot.user_id
        is_excluded = people.starter_may_not_approve and is_starter
        return rule.decision == "deny" or not (people.approvals_required > 1 or is_excluded)

    def _reach_of(self, call: ToolCall) -> bytes:
        """What the call's tool is and can reach in this execution."""
        snapshot = self._snapshot
        return reach_sha256(
            call.name,
            call.effect,
            snapshot.prefix,
            snapshot.definition,
            self.pinned.get(call.name),
        )

    def check_effect(self, call: ToolCall, now: datetime) -> Decision:
        """Decide on a call that a crash interrupted.

        What is not repeatable runs again only if a person says that it did not happen.
        """
        if call.effect.is_repeatable:
            # Only a call that needed approval has a reason before it ends.
            status = ToolCallStatus.APPROVED if call.reason else ToolCallStatus.READY
            return Decision(replace(call, status=status, process=None))
        people = self._snapshot.people
        rule = people.unknown_effect_rule(call.effect)
        reported = refuse(call, ToolCallStatus.FAILED, input_requests.NOT_REPEATED)
        if rule == "fail":
            sentence = f"A crash interrupted {call.name}, and the policy is to fail."
            return Decision(reported, failure=Failure(ErrorCode.TOOL_FAILED, sentence))
        if rule == "tell_model" or people.mode == "deny":
            return Decision(reported)
        return self._ask(call, input_requests.effect_check_request(call, people, now))

    async def default_problem(self, request: OpenRequest, call: ToolCall | None) -> str | None:
        """Why the task's default answer does not fit this request, as a sentence, or None."""
        spec = self.spec(call.name) if call is not None else None
        asked = Asked(
            kind=request.kind,
            options=request.options,
            schema=request.schema,
            tool_name=None if call is None else call.name,
            tool_input_schema=None if spec is None else spec.input_schema,
            permissions=self._snapshot.permissions,
        )
        check = check_default(asked, request.default_answer)
        found = [problem.msg for problem in check.problems]
        for s in check.schemas:
            problems = await self._schemas.value_problems(self._snapshot.user_id, s.schema, s.value)
            found += [
                f"The answer does not match the schema: {problem.msg}" for problem in problems
            ]
        return found[0] if found else None

    async def ask_for_server(
        self, call: ToolCall, question: RemoteQuestion, now: datetime
    ) -> Decision:
        """Ask a person what an MCP server wants to know, as far as the task's policy allows."""
        people = self._snapshot.people
        if question.schema is not None and await self._schemas.schema_problems(
            self._snapshot.user_id, question.schema
        ):
            problem = "its form has a schema that can't be used."
            return Decision(input_requests.dismiss_question(call, problem))
        if people.mode == "deny":
            return Decision(input_requests.continue_call(call, DECLINED_RESPONSE))
        server = self.pinned[call.name].server
        return self._ask(call, input_requests.remote_request(call, server, question, people, now))

    def _ask(self, call: ToolCall, request: NewRequest) -> Decision:
        wanted = f"{request.title} {call.reason}" if call.reason else request.title
        match self._snapshot.people.mode:
            case "wait":
                return Decision(replace(call, status=ToolCallStatus.WAITING_FOR_USER), request)
            case "deny":
                text = f"No person answers this execution, so this is denied: {wanted}"
                return Decision(refuse(call, ToolCallStatus.DENIED, text))
            case "fail":
                sentence = f"A person is needed, but the policy is to fail: {wanted}"
                return Decision(
                    refuse(call, ToolCallStatus.DENIED, sentence),
                    failure=Failure(ErrorCode.INPUT_DENIED, sentence),
                )

    async def delegate(self, call: ToolCall) -> Decision:
        """The subtasks of an allowed call that delegates, or a failed call with the reason."""
        await self._lift_plan_mode()
        named = {s["agent_id"] for s in read_subtasks(call) if "agent_id" in s}
        agents = await self._record.find_agents(named) if named else {}
        try:
            children = make_children(self._snapshot, call, agents)
        except ToolInputError as error:
            return Decision(refuse(call, ToolCallStatus.FAILED, error.detail))
        waiting = replace(
            call,
            status=ToolCallStatus.WAITING_FOR_SUBTASK,
            child_execution_ids=tuple(child.id for child in children),
        )
        return Decision(waiting, children=children)


def refuse_all(decisions: Sequence[Decision], text: str) -> Sequence[Decision]:
    """The decisions with every call settled without running it."""
    calls = [replace(decision.call, child_execution_ids=()) for decision in decisions]
    return [Decision(refuse(call, ToolCallStatus.DENIED, text)) for call in calls]


def refuse(call: ToolCall, status: ToolCallStatus, text: str) -> ToolCall:
    """Settle the call without running it."""
    return replace(input_requests.settle(call, status, text, is_error=True), reason=text)
