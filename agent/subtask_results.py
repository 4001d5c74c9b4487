"""The results of subtasks as text for the model that delegated them."""

import json
from collections.abc import Sequence
from typing import Any

from domain.executions.finishing import NOT_ENDED
from domain.executions.states import ExecutionStatus
from domain.executions.steps import ChildArtifact, ChildResult, ToolCall
from domain.rules.entries import READ_ARTIFACT
from domain.tools.engine import DELEGATE_MANY

RESULT_CHARS = 30_000
"""Characters of the text of one subtask (as the preview of a tool's output)."""

RESULTS_CHARS = 100_000
"""Characters of all texts of one call: 25,000 tokens (chosen). Each subtask gets an equal part."""

UNREADABLE_ARTIFACTS = (
    "People can open these artifacts, you can't. If you need their content, ask a subtask to put "
    "it into its result."
)

READABLE_ARTIFACTS = f"{READ_ARTIFACT} returns the text of an artifact."

NO_TEXT = "(the subtask ended without text)"


def describe_results(
    call: ToolCall, results: Sequence[ChildResult], *, can_read_artifacts: bool
) -> tuple[str, bool]:
    """The result of a call whose subtasks have ended, and whether it is an error.

    A failed subtask makes `delegate` an error. `delegate_many` lists the outcome of each one, also
    of those that have not ended if a person asked the execution to finish.
    `can_read_artifacts`: the model is offered the tool that reads them.
    """
    about_artifacts = READABLE_ARTIFACTS if can_read_artifacts else UNREADABLE_ARTIFACTS
    if call.name != DELEGATE_MANY:
        [result] = results
        text = _describe_outcome(result, RESULT_CHARS) + _describe_artifacts(
            result.artifacts, about_artifacts
        )
        return text, result.status is not ExecutionStatus.COMPLETED
    limit = min(RESULT_CHARS, RESULTS_CHARS // len(results))
    listed = [_list_result(number, result, limit) for number, result in enumerate(results, 1)]
    completed = sum(result.status is ExecutionStatus.COMPLETED for result in results)
    summary = f"{completed} of {len(results)} subtasks completed."
    if any(result.artifacts for result in results):
        summary += f" {about_artifacts}"
    return json.dumps({"summary": summary, "subtasks": listed}, ensure_ascii=False), False


def _list_result(number: int, result: ChildResult, limit: int) -> dict[str, Any]:
    is_completed = result.status is ExecutionStatus.COMPLETED
    listed: dict[str, Any] = {
        "subtask": number,
        "title": result.title,
        "agent_id": result.agent_id,
        "execution_id": str(result.execution_id),
        "status": result.status,
        "result" if is_completed else "error": _describe_outcome(result, limit),
    }
    if result.artifacts:
        listed["artifacts"] = [
            {"id": str(a.id), "name": a.name, "type": a.media_type, "bytes": a.size_bytes}
            for a in result.artifacts
        ]
    return {key: value for key, value in listed.items() if value is not None}


def _describe_outcome(result: ChildResult, limit: int) -> str:
    if result.status is ExecutionStatus.COMPLETED:
        return _shorten(result.text or NO_TEXT, limit, result)
    if result.status is ExecutionStatus.CANCELLED:
        return "The subtask was cancelled."
    if not result.status.is_terminal:
        return NOT_ENDED
    message = _shorten(result.error_message or "", limit, result)
    return f"The subtask failed ({result.error_code}): {message}"


def _shorten(text: str, limit: int, result: ChildResult) -> str:
    if len(text) <= limit:
        return text
    left_out = f"{len(text) - limit:,} characters left out"
    return f"{text[:limit]}\n[{left_out}; people can read all of execution {result.execution_id}.]"


def _describe_artifacts(artifacts: Sequence[ChildArtifact], about: str) -> str:
    listed = [f"\n[artifact {a.name}: id {a.id}, {a.size_bytes} bytes]" for a in artifacts]
    return "".join([*listed, f"\n[{about}]"]) if listed else ""
