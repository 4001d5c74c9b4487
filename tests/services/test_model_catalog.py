"""What the Models API answers to one worker is known to every process."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from domain.model.lifecycles import ModelLifecycle
from persistence.db.database import Database
from services.model_catalog import ModelCatalog

SOON = (datetime.now(UTC) + timedelta(days=5)).date()


class Api:
    """The Models API."""

    def __init__(self, answer: Mapping[str, ModelLifecycle] | None) -> None:
        self.answer = answer
        self.requests = 0

    async def list_models(self) -> Mapping[str, ModelLifecycle] | None:
        self.requests += 1
        return self.answer


async def test_an_answer_reaches_the_other_processes(database: Database) -> None:
    api = Api({"claude-opus-5-5": ModelLifecycle(SOON), "claude-opus-4-5": ModelLifecycle(None)})
    worker, gateway = ModelCatalog(database), ModelCatalog(database)
    await worker.ask(api.list_models)
    assert gateway.warn("claude-opus-5-5") is None
    await gateway.read()
    for catalog in (worker, gateway):
        assert f"retires on {SOON}" in (catalog.warn("claude-opus-5-5") or "")
    await worker.ask(api.list_models)
    assert api.requests == 1


async def test_a_later_answer_replaces_the_first(database: Database) -> None:
    first = Api({"m": ModelLifecycle(SOON), "other": ModelLifecycle(SOON)})
    await ModelCatalog(database).ask(first.list_models)
    catalog = ModelCatalog(database)
    await catalog.ask(Api({"m": ModelLifecycle(None)}).list_models)
    assert catalog.warn("m") is None
    assert catalog.warn("other") is not None


@pytest.mark.parametrize("answer", [None, {}])
async def test_without_an_answer_the_table_is_used(
    database: Database, answer: Mapping[str, ModelLifecycle] | None
) -> None:
    catalog = ModelCatalog(database)
    await catalog.ask(Api(answer).list_models)
    assert "claude-mythos-preview is retired" in (catalog.warn("claude-mythos-preview") or "")
