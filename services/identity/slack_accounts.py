"""Accounts of Slack that users link with themselves, so that their clicks count as their answers.

A click of an unknown account gets a link to a page, which the user opens signed in. The code in it
is encrypted by us, so that only who has clicked in Slack can link that account.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from domain.errors import ConflictError, NotFoundError, SecretsNotConfiguredError
from domain.secrets import from_url_text, to_url_text
from persistence.definitions.named_resources import flush_unique
from persistence.definitions.secrets import SecretSealer
from persistence.identity import users
from persistence.tables.ledger import UserRow
from services.caller import missing
from services.unit_of_work import UnitOfWork

CODE_LIFETIME = timedelta(minutes=10)
"""Time in which a person opens the link and signs in (chosen)."""

_LABEL = "slack account"

_TAKEN = "Another user has linked this account of Slack; they can unlink it in their settings."


@dataclass(frozen=True, slots=True)
class SlackAccount:
    """An account: `key` is its team and user id, `name` what Slack calls it."""

    key: str
    name: str

    def make_code(self, sealer: SecretSealer) -> str:
        """A code with which this account can be linked.

        Raises:
            SecretsNotConfiguredError: the operator has set no key.
        """
        expires_at = (datetime.now(UTC) + CODE_LIFETIME).timestamp()
        fields = {**asdict(self), "expires_at": expires_at}
        return to_url_text(sealer.seal(json.dumps(fields), label=_LABEL))

    @classmethod
    def open(cls, sealer: SecretSealer, code: str) -> Self:
        """The account of a code.

        Raises:
            NotFoundError: we did not make the code.
            ConflictError: it has expired.
        """
        try:
            given = json.loads(sealer.open(from_url_text(code), label=_LABEL))
        except (SecretsNotConfiguredError, ValueError) as error:
            message = "There is no such code. Click the button in Slack again."
            raise NotFoundError(message) from error
        if given.pop("expires_at") <= datetime.now(UTC).timestamp():
            raise ConflictError("This link has expired. Click the button in Slack again.")
        return cls(**given)


async def link_account(work: UnitOfWork, code: str) -> SlackAccount:
    """Link the account of a code with the caller, in place of the former one.

    Raises:
        NotFoundError: we did not make the code.
        ConflictError: it has expired.
        DuplicateNameError: another user has linked the account.
    """
    account = SlackAccount.open(work.services.links, code)
    await _set_account(work, account.key)
    return account


async def unlink_account(work: UnitOfWork) -> None:
    """Unlink the caller's account of Slack, if there is one."""
    await _set_account(work, None)


async def _set_account(work: UnitOfWork, key: str | None) -> None:
    user: UserRow | None = await users.find(work.session, work.caller.user_id, lock=True)
    if user is None:
        raise missing("user", work.caller.user_id)
    before, user.slack_user = user.slack_user, key
    await flush_unique(work.session, "uq_users_slack_user", _TAKEN)
    await work.record_audit(
        "user.link_slack" if key else "user.unlink_slack",
        ("user", user.id),
        before={"slack_user": before},
        after={"slack_user": key},
    )
