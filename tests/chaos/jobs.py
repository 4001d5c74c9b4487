"""The work that chaos meets: executions whose effects on disk show what ran, and how often."""

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.stack import Stack
from tests.waiting import eventually

LOG = "log"
ENDED_SECONDS = 240.0
"""Some seconds of work, and what a heartbeat that is missed adds to it, on a busy machine."""
_EFFECT = re.compile(rf"echo (\S+) >> {LOG}")


@dataclass(frozen=True, slots=True)
class Job:
    """One execution: in each of `steps` turns the model answers after `think_ms`, and a command
    appends a line to the log.

    With `is_gated`, the model answers the first turn only after the test called `open_gate`. With
    `beside`, every turn has a second, idempotent call that runs at the same time. With
    `hangs_once`, the first command takes that many seconds more, the first time it runs.
    """

    name: str
    steps: int = 4
    think_ms: int = 150
    is_gated: bool = False
    command_seconds: float = 0.1
    beside: bool = False
    hangs_once: str = ""

    def open_gate(self, stack: Stack) -> None:
        """Let the model answer the first turn."""
        stack.model.open_gate(self.name)

    @property
    def lines(self) -> list[str]:
        """What its log holds when every command took effect once, in order."""
        return [f"{self.name}-{step}" for step in range(1, self.steps + 1)]

    @property
    def prompt(self) -> str:
        """Its name, so that no two jobs are one conversation, and the script of the answers."""
        turns: list[dict[str, Any]] = [self._turn(line) for line in self.lines]
        if self.is_gated:
            turns[0]["gate"] = self.name
        turns.append({"tool_use": {"name": "read_file", "input": {"path": LOG}}})
        turns.append({"text": "{last_tool_result}", "delay_ms": self.think_ms})
        script = "\n".join(f"- {json.dumps(turn)}" for turn in turns)
        return f"Job {self.name}.\n\n```script\n{script}\n```\n"

    def _turn(self, line: str) -> dict[str, Any]:
        command = f"sleep {self.command_seconds}; echo {line} >> {LOG}"
        if self.hangs_once:
            command = f"mkdir tried 2>/dev/null && sleep {self.hangs_once}; {command}"
        uses: list[dict[str, Any]] = [{"name": "bash", "input": {"command": command}}]
        if self.beside:
            uses.append({"name": "write_file", "input": {"path": "beside", "content": line}})
        return {"delay_ms": self.think_ms, "text": line, "tool_use": uses}


async def define(stack: Stack) -> str:
    """The task whose executions are jobs; its id."""
    task = {
        "name": "job",
        "prompt_template": "{{prompt}}",
        "allowed_tools": ["bash", "write_file", "read_file"],
        "sdk_options": {},
        "human_input_policy": {"on_unknown_effect": "ask"},
    }
    return str((await stack.post("/tasks", task, key="define"))["id"])


async def begin(stack: Stack, task_id: str, jobs: Sequence[Job]) -> dict[str, Job]:
    """Start the jobs; each by its execution's id."""
    ids = await asyncio.gather(*(_begin(stack, task_id, job) for job in jobs))
    return dict(zip(ids, jobs, strict=True))


async def _begin(stack: Stack, task_id: str, job: Job) -> str:
    body = {"variables": {"prompt": job.prompt}}
    started = await stack.post(f"/tasks/{task_id}/execute", body, key=f"begin-{job.name}")
    return str(started["id"])


async def finish(stack: Stack, started: dict[str, Job], *, within: float = ENDED_SECONDS) -> None:
    """Wait for the end of all, answering meanwhile whether cut commands took effect."""

    async def all_ended() -> bool:
        await answer_effect_checks(stack)
        return not await stack.rows(
            "SELECT FROM executions WHERE id = ANY($1::uuid[])"
            " AND status NOT IN ('completed', 'failed', 'cancelled')",
            list(started),
        )

    await eventually(all_ended, within=within, what=f"the end of {len(started)} executions")


async def answer_effect_checks(stack: Stack) -> int:
    """Say of each command that a crash cut what its workspace shows; returns how many were asked.

    One that left its line must not run again, any other must.
    """
    asked = await stack.rows(
        "SELECT r.id, r.tool_input, e.session_id FROM input_requests r"
        " JOIN executions e ON e.id = r.execution_id"
        " WHERE r.status = 'open' AND r.kind = 'effect_check' AND e.status = 'waiting_for_user'"
    )
    for request in asked:
        effect = _EFFECT.search(request["tool_input"])
        assert effect is not None, request["tool_input"]
        happened = effect[1] in log_of(stack, request["session_id"])
        answer = {"decision": "happened" if happened else "not_happened"}
        await stack.post(f"/input-requests/{request['id']}/answer", answer)
    return len(asked)


def log_of(stack: Stack, session_id: object) -> list[str]:
    """The lines that a job's commands have left so far."""
    log = stack.up.home.path / "workspaces" / str(session_id) / LOG
    return log.read_text().split() if log.exists() else []
