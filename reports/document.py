"""A report as it is printed: its head and its first sections, which say what came of it.

For reading on paper or in a terminal, so it says less than the page: of tool calls one line, of
messages the beginning, and of results nothing. Every statement leads to its message, here or in
the record.
"""

from collections.abc import Iterator, Sequence

from domain.report_facts import Excerpt
from reports import listing, wording
from reports.addresses import Addresses
from reports.model import ChangedItem, Comparison, ReportContent
from reports.nodes import Document, Fact, Node, Section, code, lines, link, of, p, text
from reports.places import Places
from reports.prose import prose
from reports.telling import indented, is_results

_TONES = {"completed": "good", "failed": "bad"}


def document(report: ReportContent, base_url: str = "") -> Document:
    """The report, ready to be printed."""
    addresses = Addresses(report.subject.execution_id, base_url)
    shown = frozenset(m.seq for m in report.transcript if not is_results(m))
    places = Places(addresses, shown)
    sections = (
        *_ending(report),
        *_result(report, places),
        *_difference(report, places),
        *listing.sections(report, places),
    )
    at = report.generated_at
    return Document(
        title=report.title,
        status=report.outcome.status,
        tone=_TONES.get(report.outcome.status, "still"),
        kicker=f"Execution report, {wording.moment(at)}",
        facts=list(_facts(report)),
        sections=sections,
        written_at=(at.year, at.month, at.day, at.hour, at.minute, at.second),
    )


def _facts(report: ReportContent) -> Iterator[Fact]:
    cost = report.cost
    waited_ms = sum(request.waited_ms for request in report.input_requests)
    waited = f"{wording.duration(waited_ms)} waiting for people" if waited_ms else ""
    yield Fact("Took", wording.duration(report.duration_ms), waited)
    budget = "" if cost.budget_usd is None else f"of {wording.money(cost.budget_usd)}"
    yield Fact("Cost", wording.money(cost.total_usd), budget)
    yield Fact("Turns", wording.number(report.turns))
    yield Fact("Tool calls", wording.number(report.counts.tool_calls))
    written = f"{wording.number(report.tokens.output)} written"
    yield Fact("Tokens", wording.number(report.tokens.total), written)
    if report.counts.subtasks:
        spent = wording.money(cost.subtasks_usd)
        yield Fact("Subtasks", wording.number(report.counts.subtasks), spent)


def _ending(report: ReportContent) -> Iterator[Section]:
    outcome = report.outcome
    if outcome.status == "failed":
        heading = f"It failed: {wording.spoken(outcome.error_code or 'unknown')}"
        why = outcome.message or "Nobody wrote down why."
        yield Section("ending", heading, (), list(lines(why)))
    elif outcome.status == "cancelled":
        why = outcome.message or "No reason was given."
        yield Section("ending", "It was cancelled", (), list(lines(why)))


def _result(report: ReportContent, places: Places) -> Iterator[Section]:
    outcome = report.outcome
    if outcome.text is None:
        return
    heading = "Result" if outcome.status == "completed" else "The last answer before that"
    body = [Node("pre", text=indented(outcome.output))]
    if outcome.output is None:
        body = [*prose(outcome.text.text), *cut(outcome.text)]
    if outcome.is_output_left_out:
        left_out = "The structured result is too long for a report; result_data has it."
        body.append(p(of("muted", left_out)))
    yield Section("result", heading, places.note(outcome.message_seq), body)


def _difference(report: ReportContent, places: Places) -> Iterator[Section]:
    since = report.difference
    if since is None:
        return
    addresses = places.addresses
    before = (
        link(addresses.execution(since.execution_id), "its execution")
        if since.report_id is None
        else link(addresses.report(since.report_id), "its report")
    )
    at = f"{wording.moment(since.completed_at)}, " if since.completed_at else ""
    body: list[Node] = []
    if since.of == "nothing":
        body.append(p("The two results can't be compared: one is empty or of another kind."))
    elif since.is_empty:
        body.append(p("Nothing changed."))
    elif since.result.is_empty:
        body.append(p("The result is the same."))
    else:
        body += _comparison(since.result)
    if not since.files.is_empty:
        body += [p(of("strong", "Files")), *_comparison(since.files)]
    note = [text(at), before, *places.beside(report.outcome.message_seq)]
    yield Section("difference", "Since the last scheduled run", note, body)


def _comparison(what: Comparison) -> Iterator[Node]:
    changes = (("new", what.new), ("changed", what.changed), ("gone", what.gone))
    items = [_change(sort, item) for sort, found in changes for item in found]
    if items:
        yield Node("ul", items)
    if what.left_out:
        more = wording.plural(what.left_out, "more difference is", "more differences are")
        yield p(of("muted", f"{more} left out here."))


def _change(sort: str, item: ChangedItem) -> Node:
    tone = {"new": "good", "gone": "bad"}.get(sort, "muted")
    said: list[Node] = [of(tone, f"{sort} ")]
    if item.name:
        said += [of("strong", item.name), text(" ")]
    if item.path:
        said += [code(item.path), text(" ")]
    if item.before is not None:
        said += [of("strike", item.before), text(" → " if item.after is not None else "")]
    if item.after is not None:
        said.append(text(item.after))
    return of("item", of("p", *said))


def cut(excerpt: Excerpt) -> Sequence[Node]:
    """How much of a text is not here."""
    if not excerpt.left_out:
        return ()
    more = wording.plural(excerpt.left_out, "more character is", "more characters are")
    return [p(of("muted", f"{more} left out here."))]
