"""The transcript of a report: its messages, and the tool calls that they request."""

from collections.abc import Iterator, Mapping

from domain.executions.report_facts import Excerpt, ToolCallSummary
from domain.text import strip_terminal_codes
from reports.model import ReportContent, TranscriptBlock, TranscriptMessage
from reports.nodes import Node, ReportSection, code, muted, paragraph, text, wrap
from reports.phrases import (
    count_of,
    format_duration,
    format_input,
    format_size,
    format_time,
    shorten,
    summarize_input,
)
from reports.tables import INPUT_CHARS, NAME_CHARS, describe_count, status
from reports.text import note_left_out

PRINT_CHARS = 1_200
"""Of each block of a message in print: a third of a page; the page and the record have more
(chosen)."""

ERROR_CHARS = 400
"""Of a failed tool's output in print: enough for the reason (chosen)."""

Calls = Mapping[str, ToolCallSummary]


def build_transcript(report: ReportContent) -> ReportSection:
    """The messages in order, with a note where some are left out."""
    calls = {call.tool_use_id: call for call in report.tool_calls}
    started_at = report.subject.started_at or report.subject.created_at
    messages: list[Node] = []
    last = report.transcript[0].seq - 1 if report.transcript else 0
    for message in report.transcript:
        if message.seq > last + 1:
            left_out = message.seq - last - 1
            count = count_of(left_out, "message is", "messages are")
            messages.append(muted(f"{count} left out here; the record has them."))
        last = message.seq
        # The clocks of two machines may differ a little.
        after_ms = max((message.at - started_at).total_seconds() * 1000, 0)
        messages.append(
            Node(
                "results" if message.has_only_results else "message",
                list(_message(message, calls)),
                brief=list(_results(message, calls)),
                text=format_time(message.at),
                level=message.seq,
                mark=message.role,
                title=[
                    text("Claude" if message.role == "assistant" else "User"),
                    text(f"after {format_duration(after_ms)}"),
                ],
            )
        )
    note = [text(describe_count(report, "messages", "message"))]
    return ReportSection("transcript", "Transcript", [Node("messages", messages)], note)


def _message(message: TranscriptMessage, calls: Calls) -> Iterator[Node]:
    if message.has_only_results:
        failed = sum(block.is_error for block in message.blocks)
        errors = f", {count_of(failed, 'error')}" if failed else ""
        yield paragraph(f"{count_of(len(message.blocks), 'result')}{errors}")
    for block in message.blocks:
        yield from _block(block, message.role, calls)
    if message.left_out_blocks:
        yield note_left_out(message.left_out_blocks, "block")


def _results(message: TranscriptMessage, calls: Calls) -> Iterator[Node]:
    """The results that a message returns, for print. An error is with its call."""
    for block in message.blocks:
        call = calls.get(block.tool_use_id or "")
        if call is None:
            continue
        name = code(shorten(call.name, NAME_CHARS))
        output = "" if call.output is None else strip_terminal_codes(call.output.text)
        if call.is_error or not output.strip():
            yield paragraph(name, ": ", status(call.status), "" if call.is_error else ", no output")
            continue
        yield paragraph("Output of ", name, ":")
        yield Node("pre", text=shorten(output, PRINT_CHARS))


def _block(block: TranscriptBlock, role: str, calls: Calls) -> Iterator[Node]:
    excerpt = block.text
    if block.kind == "text" and excerpt and excerpt.chars:
        kind = "prose" if role == "assistant" else "plain"
        yield excerpt_node(kind, excerpt, limit=PRINT_CHARS)
    elif block.kind == "thinking" and excerpt and excerpt.chars:
        body = [excerpt_node("plain", excerpt)]
        yield Node("fold", body, title=[text("Thinking")], mark="thinking")
    elif block.kind == "tool_use":
        call = calls.get(block.tool_use_id or "")
        yield paragraph("Called ", code(block.name or "?")) if call is None else _call(call)
    elif block.kind == "other" and excerpt:
        yield muted(f"A message of {format_size(excerpt.chars)}, too long for a report.")
    elif block.kind == "other":
        yield muted("A block of type ", code(block.name or "unknown"), ".")


def excerpt_node(kind: str, excerpt: Excerpt, *, limit: int = 0) -> Node:
    """A `prose` or `plain` node with this text."""
    return Node(kind, text=excerpt.text, chars=excerpt.chars, limit=limit)


def _call(call: ToolCallSummary) -> Node:
    """A fold with the input and the output of a call; one line and the error in print."""
    name = shorten(call.name, NAME_CHARS)
    about = code(shorten(summarize_input(call), INPUT_CHARS))
    took = format_duration(call.duration_ms)
    outcome = status(call.status)
    brief = [paragraph("Called ", code(name), " ", about, ", ", outcome, f" in {took}")]
    if call.is_error and call.output:
        error = shorten(strip_terminal_codes(call.output.text), ERROR_CHARS)
        brief.append(Node("pre", text=error))
    if call.connections:
        brief.append(muted(f"Network: {call.connections}."))
    title = [wrap("strong", name), about, wrap("muted", took), outcome]
    return Node("fold", list(_call_details(call)), title=title, brief=brief, mark="call")


def _call_details(call: ToolCallSummary) -> Iterator[Node]:
    edited = ", edited by a person" if call.was_edited else ""
    yield Node("h", [text(f"Input{edited}")], level=4)
    yield from _output(call.input, format_input(call.input))
    if call.reason:
        yield paragraph(call.reason)
    if call.output is not None:
        yield Node("h", [text("Error" if call.is_error else "Output")], level=4)
        yield from _output(call.output, strip_terminal_codes(call.output.text))
    if call.connections:
        yield muted(f"Network: {call.connections}.")
    if call.output_artifact_id:
        yield muted("The whole output is saved as artifact ", code(call.output_artifact_id), ".")
    for child_id in call.child_execution_ids or filter(None, [call.child_execution_id]):
        yield muted("A subtask ran as execution ", code(child_id), ".")


def _output(excerpt: Excerpt, shown: str) -> Iterator[Node]:
    yield Node("pre", text=shown)
    if excerpt.left_out:
        yield note_left_out(excerpt.left_out, "character")
