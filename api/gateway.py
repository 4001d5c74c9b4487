"""The components of a gateway process, composed in `api/main.py`."""

import asyncio
from dataclasses import dataclass, field

from temporalio.client import Client

from api.auth.authentication import Authenticator
from api.auth.browser_sessions import SessionBox
from api.auth.rate_limits import AtOnce, Rates, Refusals
from api.http.large_bodies import LargeBodies
from api.http.polled import PolledResources
from api.live_updates import LiveUpdates
from api.queue.gauges import QueueGauges
from api.queue.waiting import QueueWaits
from persistence.db.database import Database
from persistence.db.write_check import WriteCheck
from persistence.executions.cached_reads import CachedReads
from runtime.mcp_health import HealthChecker
from runtime.outbound import Outbound
from runtime.settings import Settings
from services.unit_of_work import Services

AT_ONCE = 2
"""Concurrent renderings: each can use a core and, for PDF, 100 MB (chosen)."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """The components that routes use; one instance per process."""

    settings: Settings
    database: Database
    cached_reads: CachedReads
    temporal: Client
    authenticator: Authenticator
    browser_sessions: SessionBox
    services: Services
    rates: Rates | None
    """The rate limit per user, if there is one."""
    requests: AtOnce
    streams: AtOnce
    uploads: AtOnce
    notification_tests: Rates | None
    """Limits test notifications per user: they reach any address through the operator's server."""
    write_check: WriteCheck
    watcher: LiveUpdates
    queue_waits: QueueWaits
    queue_gauges: QueueGauges
    outbound: Outbound
    """Connects to addresses from users."""
    mcp_health: HealthChecker
    large_bodies: LargeBodies = field(default_factory=LargeBodies)
    refusals: Refusals = field(default_factory=Refusals)
    executions: PolledResources = field(default_factory=PolledResources)
    renderings: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    """Limits concurrent renderings of reports."""
