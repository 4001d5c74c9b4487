"""Answering input requests, and reading secrets, at a terminal or from options."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import typer
from rich.markup import escape

from cli import show
from cli.client import Client, Json
from cli.exits import CommandError
from domain.people import DECISIONS, RequestKind

YES_OR_NO = frozenset({"approval", "plan_approval", "budget"})
EFFECT_CHECK = RequestKind.EFFECT_CHECK


class AnswerNeededError(CommandError):
    """The options do not make an answer."""


def make_edit(given: str, text: str | None) -> Json:
    """The body of an approval with another tool input: JSON, or `@` and a file's name.

    Raises:
        AnswerNeededError: it is no JSON object.
    """
    try:
        content = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        edited = json.loads(content)
    except (OSError, ValueError) as error:
        raise AnswerNeededError(
            f"--input takes a JSON object, or @FILE with one: {error}"
        ) from error
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
        show.out.print()
        client.call("answer_input_request", ask(request), request_id=request["id"])


def list_open_requests(client: Client, execution_id: str) -> list[Json]:
    """The open requests of an execution."""
    page = client.call("list_input_requests", status="open", page_size=100)
    return [item for item in page["items"] if item["execution_id"] == execution_id]


def print_request(request: Mapping[str, Any]) -> None:
    """Print all of a request, with the tool call that it is about."""
    show.out.print(f"[bold magenta]{escape(request['title'])}[/]")
    if request.get("body"):
        show.out.print(request["body"], markup=False)
    if request.get("tool_call"):
        show.print_json(request["tool_call"].get("input"))
    for number, option in enumerate(request.get("options") or (), 1):
        show.out.print(f"  {number}. {escape(str(option))}")


def ask(request: Mapping[str, Any]) -> Json:
    """Ask the person at this terminal; the body of the answer."""
    print_request(request)
    if request["kind"] in YES_OR_NO:
        approved = typer.confirm("Approve?")
        message = None if approved else typer.prompt("Why not? (optional)", default="")
        return make_answer(request, message, "approve" if approved else "deny")
    if request["kind"] == EFFECT_CHECK:
        choice = typer.prompt("Decision", type=click.Choice(DECISIONS[EFFECT_CHECK]))
        message = typer.prompt("Message (optional)", default="")
        return make_answer(request, message, choice)
    text = typer.prompt("Your answer")
    return make_answer(request, choose_option(request.get("options") or [], text), None)


def read_secret(prompt: str) -> str:
    """A secret from the terminal or stdin: other users can see a command line.

    Raises:
        AnswerNeededError: stdin is empty.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True))
    value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise AnswerNeededError("Write the secret's value to stdin, or run this on a terminal.")
    return value


def choose_option(options: Sequence[Any], text: str | None) -> str | None:
    """The option with this number, else the text itself."""
    if text and text.isdigit() and 0 < int(text) <= len(options):
        return str(options[int(text) - 1])
    return text
