"""Rules for recipients of notifications; each problem contains its field."""

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
    """Problems of a task's `notification_config`, which uses the secrets of the owner.

    Other users can read a public task, and anyone who knows a Slack URL can write to its channel.
    """
    if config is None:
        return []
    loc: Location = ("body", "notification_config")
    try:
        # Validated from JSON, so that messages use the terms of JSON.
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
            hint = (
                "Other users can read a public task; store the URL as a secret and use secret_ref."
            )
            wrong.append(FieldProblem((*loc, "slack", n, "url"), hint))
    return wrong


class TargetRules:
    """Checks recipients against the operator's settings and the owner's secrets."""

    def __init__(self, work: UnitOfWork, owner_id: UUID) -> None:
        """Uses the secrets of `owner_id`."""
        self._work = work
        self._owner_id = owner_id

    async def webhook(self, target: WebhookTarget, loc: Location) -> Sequence[FieldProblem]:
        """Problems of a webhook: its URL and its secret."""
        wrong = self._address(target.url, (*loc, "url"))
        if target.secret_ref is not None and await self._secret(target.secret_ref) is None:
            wrong.append(_no_secret(target.secret_ref, (*loc, "secret_ref")))
        return wrong

    async def slack(self, target: SlackTarget, loc: Location) -> Sequence[FieldProblem]:
        """Problems of a Slack recipient: its URL, or the secret that contains it."""
        if (target.url is None) == (target.secret_ref is None):
            return [
                FieldProblem(loc, "Specify url, or secret_ref with a secret that contains the URL.")
            ]
        if target.url is not None:
            return self._address(target.url, (*loc, "url"))
        secret = await self._secret(target.secret_ref or "")
        if secret is None:
            return [_no_secret(target.secret_ref or "", (*loc, "secret_ref"))]
        if not secret.hosts:
            hint = "This secret has no hosts; store it again with hosts, such as hooks.slack.com."
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
    hint = f"You have no secret named {name_in(reference)!r}; create it with PUT /secrets/NAME."
    return FieldProblem(loc, hint, "unknown_secret")
