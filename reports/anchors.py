"""Links from a statement to its message in the report, or to the record through the API.

They are absolute if the API server knows its public address (`PERDURE_PUBLIC_URL`), else paths.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from reports.model import ReportContent
from reports.nodes import Node, link, text

API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Anchors:
    """The link targets of one report; `shown` are the messages that it contains."""

    execution_id: UUID
    base_url: str
    shown: frozenset[int]

    @classmethod
    def for_report(cls, report: ReportContent, base_url: str) -> "Anchors":
        """The targets of this report; `base_url` is empty or has no slash at its end."""
        shown = frozenset(m.seq for m in report.transcript if not m.has_only_results)
        return cls(report.subject.execution_id, base_url, shown)

    def message_address(self, seq: int) -> str:
        """The page of the transcript that holds only this message."""
        return f"{self.execution_address(self.execution_id)}/messages?after={seq - 1}&page_size=1"

    def execution_address(self, execution_id: UUID) -> str:
        """The address of an execution."""
        return f"{self.base_url}{API}/task-executions/{execution_id}"

    def report_address(self, report_id: UUID) -> str:
        """The address of a report."""
        return f"{self.base_url}{API}/reports/{report_id}"

    def artifact_address(self, artifact_id: UUID) -> str:
        """The address of a saved file's content."""
        return f"{self.base_url}{API}/artifacts/{artifact_id}/content"

    def link_message(self, seq: int | None, label: str = "") -> Node:
        """A link with the message's number after a label; an empty text if `seq` is None."""
        if seq is None:
            return text("")
        href = f"#message-{seq}" if seq in self.shown else self.message_address(seq)
        return link(href, f"{label}{seq}")

    def note_message(self, seq: int | None, before: str = "") -> Sequence[Node]:
        """A link like `message 4` after the text `before`; no nodes if `seq` is None."""
        if seq is None:
            return []
        return [*([text(before)] if before else []), self.link_message(seq, "message ")]
