"""Answering input requests at a terminal or from options."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.arguments.values import parse_json
from cli.connection.client import Client, Json
from cli.exits import CommandError
from cli.program import program
from cli.terminal import show
from cli.terminal.prompts import ask_yes_or_no, read_line
from domain.people.requests import DECISIONS, RequestKind

if TYPE_CHECKING:
    from cli.terminal.consoles import Terminal

YES_OR_NO = frozenset({"approval", "plan_approval", "budget"})
EFFECT_CHECK = RequestKind.EFFECT_CHECK


class AnswerNeededError(CommandError):
    """The options do not make an answer."""


def make_edit(given: str, text: str | None) -> Json:
    """The body of an approval with another tool input: JSON, or `@` and a file's name.

    Raises:
        CommandError: it is no JSON object, or the file can't be read.
    """
    from cli.definitions.files import read_text  # loads the models of files

    content = read_text(Path(given[1:])) if given.startswith("@") else given
    edited = parse_json(content, "--input takes a JSON object, or @FILE with one")
    if not isinstance(edited, dict):
        raise AnswerNeededError("--input takes a JSON object, the tool's whole input.")
    return {"decision": "edit", "input": edited, **({"message": text} if text else {})}


def make_answer(request: Mapping[str, Any], text: str | None, decision: str | None) -> Json:
    """The body of an answer.

    Raises:
        AnswerNeededError: a question has no text, or an approval no decision.
    """
    kind = request["kind"]
    if kind == EFFECT_CHECK and decision not in DECISIONS[EFFECT_CHECK]:
        raise AnswerNeededError("Give --decision happened, not_happened or skip.")
    if kind in YES_OR_NO and decision is None:
        raise AnswerNeededError("Give --approve or --deny.")
    if kind == RequestKind.BUDGET and decision == "approve" and request.get("schema"):
        return {"decision": decision, "values": {"max_budget_usd": _read_usd(text)}}
    if kind == EFFECT_CHECK or kind in YES_OR_NO or decision not in (None, "approve"):
        return {"decision": decision, **({"message": text} if text else {})}
    if text is None:
        raise AnswerNeededError("Give the answer, or --deny to leave the question unanswered.")
    return {"decision": "approve", "values": {"answer": text}}


def _read_usd(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        raise AnswerNeededError(
            "Give the new budget in USD as the text, for example: inbox answer ID 2.50 --approve."
        ) from None


def answer_open_requests(client: Client, execution_id: str) -> None:
    """Ask the person at this terminal each open request of an execution."""
    for request in list_open_requests(client, execution_id):
        show.err.print()
        client.call("answer_input_request", ask(request), request_id=request["id"])


def list_open_requests(client: Client, execution_id: str) -> list[Json]:
    """The open requests of an execution."""
    page = client.call_with_retries("list_input_requests", status="open", page_size=100)
    return [item for item in page["items"] if item["execution_id"] == execution_id]


def print_request(request: Mapping[str, Any], console: "Terminal | None" = None) -> None:
    """Print all of a request, with the tool call that it is about."""
    console = console or show.out
    console.print_line((request["title"], "bold magenta"))
    if request.get("body"):
        console.print(request["body"])
    if request.get("tool_call"):
        given = request["tool_call"].get("input")
        console.print(json.dumps(given, indent=2, ensure_ascii=False))
    for number, option in enumerate(request.get("options") or (), 1):
        console.print(f"  {number}. {option}")
    for comment in request.get("comments", ()):
        console.print(f"{comment['author']}: {comment['body']}")
    for name, value in _describe_circumstances(request):
        console.print_line((f"{name}  ", "dim"), value)
    if request["status"] == "open":
        console.print(f"In a browser: {program()} inbox open {request['id']}")


def _describe_circumstances(request: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Who is asked, until when, and what changed since."""
    for field in ("assignee", "claimed_by"):
        if request.get(field):
            yield field.replace("_", " "), request[field]
    if request.get("due_at"):
        yield "due", show.format_moment(request["due_at"])
    changes = request.get("changes") or {}
    changed = ["the task"] if changes.get("task_version") else []
    changed += [f"{changes['messages']} messages"] if changes.get("messages") else []
    changed += changes.get("files") or []
    if changed:
        yield "changed since it was asked", ", ".join(changed)


def ask(request: Mapping[str, Any]) -> Json:
    """Ask the person at this terminal; the body of the answer.

    It uses stderr, because stdout may be a file that gets the result.
    """
    print_request(request, show.err)
    if request["kind"] == RequestKind.BUDGET:
        return _ask_budget(request)
    if request["kind"] in YES_OR_NO:
        approved = ask_yes_or_no("Approve?")
        message = None if approved else read_line("Why not? (optional)")
        return make_answer(request, message, "approve" if approved else "deny")
    if request["kind"] == EFFECT_CHECK:
        choice = _choose(DECISIONS[EFFECT_CHECK])
        return make_answer(request, read_line("Message (optional)"), choice)
    text = ""
    while not text:
        text = read_line("Your answer")
    return make_answer(request, choose_option(request.get("options") or [], text), None)


def _ask_budget(request: Mapping[str, Any]) -> Json:
    choice = _choose(DECISIONS[RequestKind.BUDGET])
    is_raised = choice == "approve" and request.get("schema")
    while True:
        text = read_line("New budget in USD" if is_raised else "Message (optional)")
        try:
            return make_answer(request, text, choice)
        except AnswerNeededError:
            show.err.print("Write an amount, for example 2.50.")


def _choose(decisions: Sequence[str]) -> str:
    while True:
        answer = read_line(f"Decision [{' | '.join(decisions)}]").lower()
        if answer in decisions:
            return answer
        show.err.print(f"Write {', '.join(decisions[:-1])} or {decisions[-1]}.")


def choose_option(options: Sequence[Any], text: str | None) -> str | None:
    """The option with this number, else the text itself."""
    if text and text.isdigit() and 0 < int(text) <= len(options):
        return str(options[int(text) - 1])
    return text
