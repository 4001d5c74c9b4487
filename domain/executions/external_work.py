"""External executions: work that a person or another system claims with a lease and ends."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

from domain.agents.agent import Agent

MOST_LOST_ATTEMPTS = 5
"""Leases that may run out, and failures that may be retried, without progress between them: the
last one fails the execution. As many as attempts of the loop."""

SHOWN_CHARACTERS = 10_000
"""Of the result of a prerequisite in the context of a worker. The whole is in its artifact."""


class NextAction(StrEnum):
    """What follows from the report of a worker."""

    COMPLETE = "complete"
    CONTINUE = "continue"
    """The worker keeps its lease and continues."""
    NEEDS_REVISION = "needs_revision"
    """The work returns to the queue."""
    BLOCKED = "blocked"
    """The work waits until it is resumed."""


@dataclass(frozen=True, slots=True)
class ArtifactReference:
    """A stored file that a worker can read."""

    id: UUID
    name: str
    type: str
    size: int


@dataclass(frozen=True, slots=True)
class PrerequisiteResult:
    """A completed execution that the work builds on."""

    execution_id: UUID
    title: str
    summary: str | None
    text: str | None
    artifacts: Sequence[ArtifactReference] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkContext:
    """What a worker needs to know to do the work."""

    title: str
    prompt: str
    agent: Agent | None = None
    system_prompt: str | None = None
    parent_title: str | None = None
    previous_summary: str | None = None
    """What an earlier worker has reported, if the work was claimed before."""
    input_data: Mapping[str, Any] | None = None
    prerequisites: Sequence[PrerequisiteResult] = ()
    artifacts: Sequence[ArtifactReference] = field(default=())

    def instructions(self) -> Sequence[str]:
        """What the worker has to do, in order."""
        steps = ["Read the task, and the results it builds on."]
        if self.previous_summary is not None or self.artifacts:
            steps.append("Continue from the artifacts and the summary of the earlier work.")
        return [
            *steps,
            (
                "Do the work. Send a heartbeat before the lease ends, and stop if the answer "
                "reports a cancellation or the lease is lost."
            ),
            (
                "Report the result once: a summary of at most 200 characters, the detailed work, "
                "the paths of changed files, and the next action."
            ),
            (
                "Choose the next action: complete if the work is done, continue to keep the lease, "
                "needs_revision to return it to the queue, blocked if a person must act first."
            ),
        ]

    def render(self) -> str:
        """The context as Markdown."""
        sections = [
            ("Role", self._role()),
            ("Expertise", self._expertise()),
            ("Approach", self._approach()),
            ("Task", self._task()),
            ("Input", self._input()),
            ("Results of prerequisites", self._results()),
            ("Existing artifacts", _list_artifacts(self.artifacts)),
            ("Instructions", _number(self.instructions())),
        ]
        return "\n\n".join(f"## {title}\n\n{text}" for title, text in sections if text) + "\n"

    def _role(self) -> str:
        if self.agent is None:
            return "You do this work as a generalist."
        description = f": {self.agent.description}" if self.agent.description else "."
        return f"You work as **{self.agent.name}**{description}"

    def _expertise(self) -> str:
        return "" if self.agent is None else _list(self.agent.capabilities)

    def _approach(self) -> str:
        prompts = (self.agent.system_prompt if self.agent else None, self.system_prompt)
        return "\n\n".join(prompt.strip() for prompt in prompts if prompt)

    def _task(self) -> str:
        lines = [f"**{self.title}**"]
        if self.parent_title is not None:
            lines.append(f"This is a part of: {self.parent_title}")
        lines.append(self.prompt)
        if self.previous_summary is not None:
            lines.append(f"An earlier worker reported: {self.previous_summary}")
        return "\n\n".join(lines)

    def _input(self) -> str:
        if self.input_data is None:
            return ""
        text = json.dumps(self.input_data, ensure_ascii=False, indent=2)
        return f"```json\n{text}\n```"

    def _results(self) -> str:
        return "\n\n".join(_describe_result(result) for result in self.prerequisites)


def _describe_result(result: PrerequisiteResult) -> str:
    parts = [f"### {result.title}", f"Execution {result.execution_id}"]
    if result.summary:
        parts.append(result.summary)
    if result.text and result.text != result.summary:
        parts.append(shorten(result.text))
    if result.artifacts:
        parts.append(_list_artifacts(result.artifacts))
    return "\n\n".join(parts)


def shorten(text: str) -> str:
    """The text, or its beginning with a note where to read the rest."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    return f"{text[:SHOWN_CHARACTERS]}…\n\n(The rest is in its artifact.)"


def _list_artifacts(artifacts: Sequence[ArtifactReference]) -> str:
    return _list([f"{a.name} ({a.type}, {a.size} bytes): artifact {a.id}" for a in artifacts])


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _number(lines: Sequence[str]) -> str:
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
