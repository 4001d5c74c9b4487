"""Rules for notification targets that their models cannot check; each problem names its field."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from definitions.notifications import NotificationConfig, SlackTarget, WebhookTarget
from domain.errors import (
    AddressRefusedError,
    FieldProblem,
    SecretsNotConfiguredError,
    SecretUnusableError,
)
from domain.secrets import decode_signing_key, name_in
from persistence.definitions import secrets
from persistence.tables.definitions import SecretRow
from services.unit_of_work import UnitOfWork
from services.validation_messages import Location, find_problems


async def config_problems(
    work: UnitOfWork,
    config: dict[str, Any] | None,
    *,
    owner_id: UUID,
    is_public: bool = False,
) -> list[FieldProblem]:
    """Return what is wrong with the `notification_config` of a task.

    Secrets are looked up among those of `owner_id`. Other users can read a public task, and anyone
    who knows the URL of a Slack channel can write to it.
    """
    if config is None:
        return []
    loc: Location = ("body", "notification_config")
    try:
        # From JSON, as in a request, so that messages contain JSON types.
        parsed = NotificationConfig.model_validate_json(json.dumps(config))
    except ValidationError as error:
        return find_problems(error, NotificationConfig, loc)
    rules = TargetRules(work, owner_id)
    problems: list[FieldProblem] = []
    for index, webhook in enumerate(parsed.webhooks):
        problems += await rules.webhook_problems(webhook, (*loc, "webhooks", index))
    for index, slack in enumerate(parsed.slack):
        problems += await rules.slack_problems(slack, (*loc, "slack", index))
        if is_public and slack.url is not None:
            msg = "Other users can read a public task; use secret_ref with a secret for the URL."
            problems.append(FieldProblem((*loc, "slack", index, "url"), msg))
    return problems


class TargetRules:
    """Checks targets against the operator's settings and the secrets of their owner."""

    def __init__(self, work: UnitOfWork, owner_id: UUID) -> None:
        """Look secrets up among those of `owner_id`."""
        self._work = work
        self._owner_id = owner_id

    async def webhook_problems(
        self, target: WebhookTarget, loc: Location
    ) -> Sequence[FieldProblem]:
        """Return a problem for a URL that is not allowed and for a secret that can't sign."""
        problems = self._url_problems(target.url, (*loc, "url"))
        if target.secret_ref is not None:
            problems += await self._key_problems(target.secret_ref, (*loc, "secret_ref"))
        return problems

    async def slack_problems(self, target: SlackTarget, loc: Location) -> Sequence[FieldProblem]:
        """Return a problem unless there is either a URL or a secret that may be sent."""
        if (target.url is None) == (target.secret_ref is None):
            return [FieldProblem(loc, "Give either url, or secret_ref with a secret for the URL.")]
        if target.url is not None:
            return self._url_problems(target.url, (*loc, "url"))
        secret = await self._find_secret(target.secret_ref or "")
        if secret is None:
            return [_unknown_secret(target.secret_ref or "", (*loc, "secret_ref"))]
        if not secret.hosts:
            msg = "This secret has no hosts that it may be sent to; add hooks.slack.com to them."
            return [FieldProblem((*loc, "secret_ref"), msg)]
        return []

    async def _key_problems(self, reference: str, loc: Location) -> list[FieldProblem]:
        secret = await self._find_secret(reference)
        if secret is None:
            return [_unknown_secret(reference, loc)]
        try:
            sealer = self._work.services.secrets
            decode_signing_key(sealer.open(secret.encrypted_value, label=secret.label))
        except (SecretUnusableError, SecretsNotConfiguredError) as error:
            return [FieldProblem(loc, error.detail, error.code)]
        return []

    def _url_problems(self, url: str, loc: Location) -> list[FieldProblem]:
        try:
            self._work.services.settings.check_url(url)
        except AddressRefusedError as error:
            return [FieldProblem(loc, error.detail, error.code)]
        return []

    async def _find_secret(self, reference: str) -> SecretRow | None:
        name = name_in(reference)
        if name is None:
            return None
        return await secrets.find(self._work.session, self._owner_id, name)


def _unknown_secret(reference: str, loc: Location) -> FieldProblem:
    msg = f"There is no secret {name_in(reference)!r}; create it with PUT /secrets/NAME."
    return FieldProblem(loc, msg, "unknown_secret")
