"""Answering input requests: what to send for a kind, and asking for it, and for secrets."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.markup import escape

from cli import show
from cli.client import Gateway, Json
from cli.exits import CommandError

YES_OR_NO = frozenset({"approval", "plan_approval", "budget", "effect_check"})


class AnswerNeededError(CommandError):
    """The command does not say what to answer."""


def edit_of(given: str, text: str | None) -> Json:
    """The body of an approval whose tool input a person changed: JSON, or `@` and a file's name.

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


def answer_of(request: Mapping[str, Any], text: str | None, decision: str | None) -> Json:
    """The body of an answer.

    Raises:
        AnswerNeededError: a question without a text, or an approval without a decision.
    """
    if request["kind"] in YES_OR_NO:
        if decision is None:
            raise AnswerNeededError("Say --approve or --deny.")
        return {"decision": decision, **({"message": text} if text else {})}
    if decision == "deny":
        return {"decision": "deny", **({"message": text} if text else {})}
    if text is None:
        raise AnswerNeededError("Give the answer, or --deny to leave the question unanswered.")
    return {"decision": "approve", "values": {"answer": text}}


def ask_and_answer(gateway: Gateway, execution_id: str) -> None:
    """Put an execution's open requests to the person at this terminal."""
    for request in open_requests(gateway, execution_id):
        show.out.print()
        gateway.post(f"/input-requests/{request['id']}/answer", asked(request))


def describe(request: Mapping[str, Any]) -> None:
    """Say what is asked, with all that an approval is about."""
    show.out.print(f"[bold magenta]{escape(request['title'])}[/]")
    if request.get("body"):
        show.out.print(request["body"], markup=False)
    if request.get("tool_call"):
        show.as_json(request["tool_call"].get("input"))
    for number, option in enumerate(request.get("options") or (), 1):
        show.out.print(f"  {number}. {escape(str(option))}")


def open_requests(gateway: Gateway, execution_id: str) -> list[Json]:
    """What an execution waits for people for."""
    page = gateway.get("/input-requests", status="open", page_size=100)
    return [item for item in page["items"] if item["execution_id"] == execution_id]


def asked(request: Mapping[str, Any]) -> Json:
    """The body of the answer that the person at this terminal gives."""
    describe(request)
    if request["kind"] in YES_OR_NO:
        approved = typer.confirm("Approve?")
        message = None if approved else typer.prompt("Why not? (optional)", default="")
        return answer_of(request, message, "approve" if approved else "deny")
    text = typer.prompt("Your answer")
    return answer_of(request, chosen(request.get("options") or [], text), None)


def secret(prompt: str) -> str:
    """A value, never from the command line, where others could see it and history keeps it.

    Raises:
        AnswerNeededError: nothing is on stdin.
    """
    if sys.stdin.isatty():
        return str(typer.prompt(prompt, hide_input=True))
    value = sys.stdin.read().removesuffix("\n")
    if not value:
        raise AnswerNeededError("Write the secret's value to stdin, or call this on a terminal.")
    return value


def chosen(options: list[Any], text: str) -> str:
    """The option that `text` is the number of, else the text itself."""
    if text.isdigit() and 0 < int(text) <= len(options):
        return str(options[int(text) - 1])
    return text
