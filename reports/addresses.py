"""Where a report's statements can be looked up: the record, through the gateway's API.

Absolute where the gateway knows its address from outside (`PERDURE_PUBLIC_URL`), else paths.
"""

from dataclasses import dataclass
from uuid import UUID

API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Addresses:
    """Addresses of what a report speaks of; `base_url` is without a slash at its end, or empty."""

    execution_id: UUID
    base_url: str = ""

    def message(self, seq: int) -> str:
        """The page of the transcript that holds this one message."""
        return f"{self.execution(self.execution_id)}/messages?after={seq - 1}&page_size=1"

    def execution(self, execution_id: UUID) -> str:
        """An execution."""
        return f"{self.base_url}{API}/task-executions/{execution_id}"

    def report(self, report_id: UUID) -> str:
        """A report."""
        return f"{self.base_url}{API}/reports/{report_id}"

    def artifact(self, artifact_id: UUID) -> str:
        """The bytes of a kept file."""
        return f"{self.base_url}{API}/artifacts/{artifact_id}/content"
