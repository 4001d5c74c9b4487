"""What a message about an open input request offers to answer it, beside the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from domain.errors import SecretsNotConfiguredError
from domain.people.notifications import ASKING_EVENTS
from persistence.db.database import Database
from persistence.definitions.secrets import SecretSealer
from persistence.notifications import deliveries
from persistence.tables.ledger import NotificationRow
from persistence.tables.sessions import InputRequestRow
from services.executions.answer_links import AnswerLink, make_link
from services.executions.slack_buttons import SlackButton, make_buttons


@dataclass(frozen=True, slots=True)
class WaysToAnswer:
    """A link for its reader, and the buttons of a Slack message with the input they decide on."""

    link: str | None = None
    buttons: Sequence[SlackButton] = ()
    tool_input: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLinks:
    """Makes links and buttons when a message is sent; they are stored nowhere."""

    database: Database
    sealer: SecretSealer
    public_url: str | None = None
    """The URL of the gateway in links to pages; without it, messages have no links."""
    has_buttons: bool = False
    """Whether the operator has set Slack's signing secret, without which buttons do nothing."""

    async def find_ways(self, row: NotificationRow) -> WaysToAnswer:
        """The ways for the target of a notification; none if its request is not open."""
        if row.type not in ASKING_EVENTS:
            return WaysToAnswer()
        async with self.database.reading() as session:
            source = await deliveries.load_source(session, row)
            request = None if source is None else source.request
            if request is None or request.status != "open":
                return WaysToAnswer()
            link = await self._find_link(session, row, request)
        try:
            return self._make(row, request, link)
        except SecretsNotConfiguredError:  # without a key, people sign in to answer
            return WaysToAnswer()

    async def _find_link(
        self, session: AsyncSession, row: NotificationRow, request: InputRequestRow
    ) -> AnswerLink | None:
        if row.target.get("has_answer_links"):
            return AnswerLink.make(request, request.user_id, row.message_id)
        address = row.target.get("to")
        return address and await make_link(session, request, row.message_id, address)

    def _make(
        self, row: NotificationRow, request: InputRequestRow, link: AnswerLink | None
    ) -> WaysToAnswer:
        url = None
        if link is not None and self.public_url is not None:
            url = f"{self.public_url.rstrip('/')}/answer/{link.seal(self.sealer)}"
        shows_buttons = self.has_buttons and row.target.get("has_buttons")
        buttons = make_buttons(request, self.sealer) if shows_buttons else ()
        return WaysToAnswer(url, buttons, request.tool_input or "")
