"""Names models that are retired or soon will be, wherever a model is chosen.

A worker asks the Models API, if it answers, and stores the answer; each process reads that now and
then. Without an answer, a dated table is used (`domain/model/lifecycles.py`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import structlog

from domain.model.lifecycles import ModelLifecycle, describe_misspelling, describe_retirement
from domain.model.pricing import PRICED_MODELS
from persistence.db.database import Database
from persistence.ledger import model_lifecycles

READ_EVERY_SECONDS = 600.0
"""How often a process reads what is stored (chosen: retirements are announced months before)."""

ASK_EVERY = timedelta(hours=12)
"""How often a worker asks the Models API (chosen)."""

ListModels = Callable[[], Awaitable[Mapping[str, ModelLifecycle] | None]]
"""Asks the Models API. None: there is no connection to a model yet, or it did not answer."""

log = structlog.get_logger(__name__)


class ModelCatalog:
    """What one process knows about the lifecycles of models."""

    def __init__(self, database: Database) -> None:
        """Start with the dated table."""
        self._database = database
        self._known: Mapping[str, ModelLifecycle] = {}
        self._asked_at: datetime | None = None

    def warn(self, model: str) -> str | None:
        """Return a sentence about a model that is retired, soon will be, or is misspelled."""
        retirement = describe_retirement(model, self._known, datetime.now(UTC))
        return retirement or describe_misspelling(model, {*self._known, *PRICED_MODELS})

    async def read(self) -> None:
        """Read what the Models API last answered to any worker."""
        async with self._database.reading() as session:
            self._known = await model_lifecycles.load(session)

    async def ask(self, list_models: ListModels) -> None:
        """Ask the Models API if that is due, store its answer, and read what is stored."""
        now = datetime.now(UTC)
        if self._asked_at is None or now - self._asked_at >= ASK_EVERY:
            found = await list_models()
            if found is not None:
                self._asked_at = now
                async with self._database.transaction() as session:
                    await model_lifecycles.store(session, found)
        await self.read()

    @asynccontextmanager
    async def keep_current(self) -> AsyncIterator[None]:
        """Read what is stored every few minutes while the block runs."""
        reading = asyncio.create_task(self._keep_current())
        try:
            yield
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

    async def _keep_current(self) -> None:
        while True:
            try:
                await self.read()
            except Exception as error:  # noqa: BLE001 - the edge: the database may be unavailable
                log.warning("model_catalog.not_read", error=type(error).__name__)
            await asyncio.sleep(READ_EVERY_SECONDS)
