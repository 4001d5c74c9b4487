"""The transcript of a printed report, and how its calls are told."""

from collections.abc import Iterator, Mapping, Sequence

from domain.report_facts import ToolCallSummary
from reports import wording
from reports.markup import plain
from reports.model import ReportContent, TranscriptBlock, TranscriptMessage
from reports.nodes import Node, Section, code, lines, link, of, p, text
from reports.places import Places
from reports.prose import prose
from reports.telling import after, brief, is_results

NAME_CHARS = 40
"""Of a tool's name, which a server of somebody else may have chosen (chosen)."""

ABOUT_CHARS = 120
"""Of a tool call's input: two lines of a column (chosen)."""

SAID_CHARS = 1_200
"""Of each block of a message: a third of a page; the page and the record have more (chosen)."""

ERROR_CHARS = 400
"""Of a failed tool's output: what says why (chosen)."""

_MARKED = {"failed": "bad", "lost": "bad", "denied": "bad", "expired": "bad"}


def transcript(report: ReportContent, places: Places) -> Section:
    """What was said, message by message."""
    calls = {call.tool_use_id: call for call in report.tool_calls}
    began = report.subject.started_at or report.subject.created_at
    body: list[Node] = []
    last = report.transcript[0].seq - 1
    for message in report.transcript:
        if message.seq > last + 1:
            missing = wording.plural(message.seq - last - 1, "message is", "messages are")
            record = link(places.addresses.message(last + 1), "the record")
            body.append(p(of("muted", f"{missing} left out here; ", record, " has them.")))
        last = message.seq
        if is_results(message):
            continue
        since = after((message.at - began).total_seconds() * 1000)
        who = "Claude" if message.role == "assistant" else "User"
        address = places.addresses.message(message.seq)
        words = [text(f"{who}, +{since}")]
        body.append(Node("message", words, level=message.seq, href=address))
        body += _message(message, calls)
    note = kept(report.omitted.messages, report.counts.messages)
    return Section("transcript", "Transcript", note, body)


def _message(message: TranscriptMessage, calls: Mapping[str, ToolCallSummary]) -> Iterator[Node]:
    for block in message.blocks:
        yield from _block(block, message.role, calls)
    if message.left_out_blocks:
        more = wording.plural(message.left_out_blocks, "more block is", "more blocks are")
        yield p(of("muted", f"{more} left out here."))


def _block(
    block: TranscriptBlock, role: str, calls: Mapping[str, ToolCallSummary]
) -> Iterator[Node]:
    if block.kind == "text" and block.text and block.text.chars:
        said = block.text.text[:SAID_CHARS]
        yield from prose(said) if role == "assistant" else lines(said)
        if left_out := block.text.chars - len(said):
            more = wording.plural(left_out, "more character is", "more characters are")
            yield p(of("muted", f"{more} left out here."))
    elif block.kind == "tool_use":
        call = calls.get(block.tool_use_id or "")
        yield from [p("Called ", code(block.name or "?"))] if call is None else _called(call)
    elif block.kind == "other":
        size = f" of {wording.size(block.text.chars)}, too long to read" if block.text else ""
        yield p(of("muted", f"A block{size}: ", code(block.name or "unknown")))


def _called(call: ToolCallSummary) -> Iterator[Node]:
    took = wording.duration(call.duration_ms)
    about = code(clipped(brief(call), ABOUT_CHARS))
    yield p(
        "Called ",
        code(clipped(call.name, NAME_CHARS)),
        " ",
        about,
        ", ",
        status(call.status),
        f" in {took}",
    )
    if call.is_error and call.output:
        yield Node("pre", text=clipped(plain(call.output.text), ERROR_CHARS))


def kept(omitted: int, total: int) -> Sequence[Node]:
    """How many of a list are shown."""
    if not omitted:
        return [text(wording.number(total))]
    shown = wording.number(total - omitted)
    return [text(f"{shown} of {wording.number(total)}: the first and the last")]


def status(word: str) -> Node:
    """A status, coloured where it is a bad one."""
    tone = _MARKED.get(word)
    return of(tone, wording.spoken(word)) if tone else text(wording.spoken(word))


def clipped(words: str, length: int) -> str:
    """The beginning of a text, with a sign where it is cut."""
    return words if len(words) <= length else f"{words[: length - 1]}…"
