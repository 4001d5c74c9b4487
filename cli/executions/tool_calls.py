"""Prints tool calls: what ran, how it ended, and the first lines of its output."""

import json
import re
from collections.abc import Mapping, Sequence

from cli.connection.client import Json
from cli.terminal import show

FIRST_LINES = 5
"""Of an input or an output (chosen); `--full` prints all."""

FULL_HINT = "--full prints all"

_EXIT = re.compile(r"\n?\[(?P<ending>exit code \d+|ended after [^\]\n]*)\]\s*\Z")


def print_tool_calls(calls: Sequence[Json], *, full: bool) -> None:
    """Print calls with their status, their input and their output."""
    if not calls:
        show.out.print("No tool was called.")
    for call in calls:
        print_call_start(call, full=full)
        if call["completed_at"] is None:
            show.out.print_line("  ", (f"… {call['status']}", "dim"))
        else:
            print_call_end(call, full=full)


def print_call_start(call: Json, *, full: bool) -> None:
    """Print what runs: the approved input, which may be another one than the model wrote."""
    approved = call.get("approved_input")
    given = call["input"] if approved is None else approved
    print_call(call["name"], given, full=full)
    if approved is not None and approved != call["input"]:
        show.out.print_line("  ", ("  a person changed the input", "magenta"))


def print_call(name: str, given: object, *, full: bool) -> None:
    """Print a tool's name and its input: a command as it is, other inputs as JSON."""
    text = json.dumps(given, ensure_ascii=False)
    if name == "bash" and isinstance(given, dict) and list(given) == ["command"]:
        text = str(given["command"])
    lines = _shorten(text, full=full)
    show.out.print_line("  ⚙ ", (name, "bold"), "  ", lines[0])
    _print_below(lines[1:])


def print_call_end(call: Json, *, full: bool) -> None:
    """Print how a call ended, its output, and what it connected to."""
    denied = call["status"] == "denied"
    print_result(
        call["name"], call["output"] or "", failed=call["is_error"], full=full, denied=denied
    )
    _print_connections(call, full=full)


def _print_connections(call: Json, *, full: bool) -> None:
    if network := call.get("connections"):
        _print_below(
            _shorten("\n".join(map(_describe_connection, network["connections"])), full=full)
        )


def _describe_connection(connection: Json) -> str:
    """One line: the host, and the bytes that were exchanged or why there are none."""
    place = f"⇄ {connection['host']}:{connection['port']}"
    if connection["verdict"] != "allowed":
        return f"{place}  {connection['verdict']}: {connection['reason']}"
    sent, received = connection["sent_bytes"], connection["received_bytes"]
    return f"{place}  {sent:,} bytes sent, {received:,} received"


def print_result(name: str, output: str, *, failed: bool, full: bool, denied: bool = False) -> None:
    """Print a tool's output, its exit code in the first line."""
    found = _EXIT.search(output)
    ending = f"  {found['ending']}" if found else ""
    if denied:
        show.out.print_line("  ", (f"⊘ {name} was not allowed", "yellow"))
    else:
        show.out.print_line(
            "  ", (f"✗ {name}" if failed else f"✓ {name}", "red" if failed else "green"), ending
        )
    text = output[: found.start()] if found else output
    if text.strip("\n"):
        _print_below(_shorten(text.strip("\n"), full=full))


def _print_below(lines: Sequence[str]) -> None:
    for line in lines:
        show.out.print(f"    {line}")


def _shorten(text: str, *, full: bool) -> list[str]:
    """The lines of a text, or the first ones and how many are left out."""
    lines = text.split("\n")
    if full or len(lines) <= FIRST_LINES + 1:
        return lines
    return [*lines[:FIRST_LINES], f"… {len(lines) - FIRST_LINES} more lines; {FULL_HINT}"]


def print_content(
    content: Sequence[Json] | str, *, full: bool, calls: Mapping[str, Json] | None = None
) -> None:
    """Print a message's content: its text as it is, and its tool calls and their results.

    `calls` are the tool calls by their `tool_use_id`, whose connections are printed.
    """
    if isinstance(content, str):
        show.out.print_text(content)
        return
    for block in content:
        match block.get("type"):
            case "text":
                show.out.print_text(block["text"])
            case "tool_use":
                print_call(block["name"], block["input"], full=full)
            case "tool_result":
                failed = bool(block.get("is_error"))
                print_result("result", _read_output(block), failed=failed, full=full)
                _print_connections((calls or {}).get(block["tool_use_id"], {}), full=full)
            case "compaction" if block.get("content"):
                show.out.print_line("  ", ("(summary, read in place of all messages above)", "dim"))
                show.out.print_text(block["content"])
            case kind:
                show.out.print_line("  ", (f"({kind})", "dim"))


def _read_output(result: Json) -> str:
    content = result.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text") or f"({block['type']})" for block in content)
