"""Links from a statement to its message in the report.

There are no links to the API: a browser cannot open it, because it needs a token.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.model import ReportContent
from reports.nodes import Node, link, text


@dataclass(frozen=True, slots=True)
class Anchors:
    """The link targets of one report; `shown` are the messages that it contains."""

    shown: frozenset[int]

    @classmethod
    def for_report(cls, report: ReportContent) -> "Anchors":
        """The targets of this report."""
        return cls(frozenset(m.seq for m in report.transcript if not m.has_only_results))

    def link_message(self, seq: int | None, label: str = "") -> Node:
        """The message's number after a label, as a link if the report has the message.

        An empty text if `seq` is None.
        """
        if seq is None:
            return text("")
        words = f"{label}{seq}"
        return link(f"#message-{seq}", words) if seq in self.shown else text(words)

    def note_message(self, seq: int | None, before: str = "") -> Sequence[Node]:
        """A link like `message 4` after the text `before`; no nodes if `seq` is None."""
        if seq is None:
            return []
        return [*([text(before)] if before else []), self.link_message(seq, "message ")]
