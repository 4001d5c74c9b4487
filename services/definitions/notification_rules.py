"""What a notification's target must be beside its shape; each problem names its field."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from contracts.notifications import NotificationConfig, SlackTarget, WebhookTarget
from domain.errors import AddressRefusedError, FieldProblem
from domain.secrets import name_in
from persistence.definitions import secrets
from persistence.tables.secrets import SecretRow
from services.unit_of_work import UnitOfWork
from services.validation_messages import Location, sentence


async def problems(
    work: UnitOfWork,
    config: dict[str, Any] | None,
    *,
    owner_id: UUID,
    is_public: bool = False,
) -> list[FieldProblem]:
    """What is wrong with a task's `notification_config`, whose secrets are its owner's.

    Others read a public task, and whoever reads a Slack address can write to its channel.
    """
    if config is None:
        return []
    loc: Location = ("body", "notification_config")
    try:
        # From JSON, as it came: what is wrong is told in JSON's words.
        parsed = NotificationConfig.model_validate_json(json.dumps(config))
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return [
            FieldProblem((*loc, *e["loc"]), sentence(e, NotificationConfig), e["type"])
            for e in found
        ]
    rules = TargetRules(work, owner_id)
    wrong: list[FieldProblem] = []
    for n, webhook in enumerate(parsed.webhooks):
        wrong += await rules.webhook(webhook, (*loc, "webhooks", n))
    for n, slack in enumerate(parsed.slack):
        wrong += await rules.slack(slack, (*loc, "slack", n))
        if is_public and slack.url is not None:
            hint = "Others can read a public task; name a secret that holds the address."
            wrong.append(FieldProblem((*loc, "slack", n, "url"), hint))
    return wrong


class TargetRules:
    """Checks targets against what is allowed here and what secrets their owner has."""

    def __init__(self, work: UnitOfWork, owner_id: UUID) -> None:
        """Look secrets up among those of `owner_id`."""
        self._work = work
        self._owner_id = owner_id

    async def webhook(self, target: WebhookTarget, loc: Location) -> Sequence[FieldProblem]:
        """An address we go to, and a secret there is."""
        wrong = self._address(target.url, (*loc, "url"))
        if target.secret_ref is not None and await self._secret(target.secret_ref) is None:
            wrong.append(_no_secret(target.secret_ref, (*loc, "secret_ref")))
        return wrong

    async def slack(self, target: SlackTarget, loc: Location) -> Sequence[FieldProblem]:
        """An address, or a secret that may be sent somewhere."""
        if (target.url is None) == (target.secret_ref is None):
            return [FieldProblem(loc, "Give the address as url, or a secret that holds it.")]
        if target.url is not None:
            return self._address(target.url, (*loc, "url"))
        secret = await self._secret(target.secret_ref or "")
        if secret is None:
            return [_no_secret(target.secret_ref or "", (*loc, "secret_ref"))]
        if not secret.hosts:
            hint = "This secret may be sent nowhere; set it with hosts, such as hooks.slack.com."
            return [FieldProblem((*loc, "secret_ref"), hint)]
        return []

    def _address(self, url: str, loc: Location) -> list[FieldProblem]:
        try:
            self._work.services.settings.check_url(url)
        except AddressRefusedError as error:
            return [FieldProblem(loc, error.detail, error.code)]
        return []

    async def _secret(self, reference: str) -> SecretRow | None:
        name = name_in(reference)
        return (
            None if name is None else await secrets.find(self._work.session, self._owner_id, name)
        )


def _no_secret(reference: str, loc: Location) -> FieldProblem:
    hint = f"There is no secret {name_in(reference)!r}; PUT /secrets/NAME makes one."
    return FieldProblem(loc, hint, "unknown_secret")
