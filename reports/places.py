"""Links from a printed statement to its message: in the document, else in the record."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.addresses import Addresses
from reports.nodes import Node, link, text


@dataclass(frozen=True, slots=True)
class Places:
    """Where messages are; `shown` are those of the document itself."""

    addresses: Addresses
    shown: frozenset[int]

    def where(self, seq: int | None, word: str = "") -> Node:
        """The number of a message as a link to it, behind a word; nothing where nobody knows."""
        if seq is None:
            return text("")
        href = f"#message-{seq}" if seq in self.shown else self.addresses.message(seq)
        return link(href, f"{word}{seq}")

    def note(self, seq: int | None) -> Sequence[Node]:
        """The same as a section's note."""
        return [] if seq is None else [self.where(seq, "message ")]

    def beside(self, seq: int | None) -> Sequence[Node]:
        """The same behind other words."""
        return [] if seq is None else [text(", "), self.where(seq, "message ")]
