"""What a gateway process is made of, composed once in `api/main.py`."""

import asyncio
from dataclasses import dataclass, field

from temporalio.client import Client

from api.auth.authentication import Authenticator
from api.auth.rate_limits import Rates
from api.live_updates import LiveUpdates
from persistence.blobs import BlobStore
from persistence.db.database import Database
from persistence.executions.cached_reads import CachedReads
from runtime.outbound import Outbound
from runtime.secret_box import SecretBox
from runtime.settings import Settings
from services.unit_of_work import Services

AT_ONCE = 2
"""Reports rendered at a time: each may take a core and, as PDF, 100 MB (chosen)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts that routes use, one of each per process."""

    settings: Settings
    database: Database
    cached_reads: CachedReads
    blobs: BlobStore
    temporal: Client
    authenticator: Authenticator
    services: Services
    rates: Rates | None
    """How often a user may ask, where that is limited."""
    watcher: LiveUpdates
    sealer: SecretBox
    """Seals and opens users' secrets."""
    outbound: Outbound
    """Reaches addresses that users give."""
    renderings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    """Taken by who renders a report."""
