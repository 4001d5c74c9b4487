"""What the composition roots of the gateway and of the worker compose alike."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from temporalio.client import Client

from domain.files.blobs import BlobStore
from domain.json_schemas import SchemaEvaluator
from domain.web.network import NetworkList
from persistence.blobs.directory import DirectoryBlobs
from persistence.db.database import Database
from runtime.dispatch import Dispatcher
from runtime.outbound import Outbound, check_url
from runtime.schedules import Schedules
from runtime.secret_box import SecretBox, make_token_box
from runtime.settings import Settings
from services.blobs import Blobs
from services.executions.dispatch_marks import DispatchMarks
from services.external_work.closings import WorkflowClosings
from services.model_catalog import ModelCatalog
from services.ports import UserCache
from services.quotas import QuotaGuard, Quotas
from services.storage import StorageGuard
from services.unit_of_work import OperatorSettings, Services


def artifact_store(settings: Settings) -> BlobStore:
    """Build the store of artifacts.

    Raises:
        ValueError: the object storage is not configured correctly.
    """
    url = settings.artifacts_url
    if url is None:
        return DirectoryBlobs(settings.home / "artifacts")
    if url.startswith("file:"):
        return DirectoryBlobs(Path(unquote(urlsplit(url).path)))
    # Only here, because it needs 8 MB.
    from persistence.blobs.object_storage import ObjectBlobs  # noqa: PLC0415

    return ObjectBlobs(url)


def compose_services(
    settings: Settings,
    database: Database,
    client: Client,
    outbound: Outbound,
    schemas: SchemaEvaluator,
    *,
    remembered_seconds: float,
    store_patience_seconds: float = 0,
    user_caches: Sequence[UserCache] = (),
) -> Services:
    """Build the services.

    A user without a quota is remembered for `remembered_seconds`. Files wait for a store that is
    unavailable for `store_patience_seconds`.
    """
    keys = settings.secrets_key
    defaults = Quotas(
        settings.max_concurrent_executions_per_user,
        settings.max_usd_per_user_per_day,
        settings.max_stored_bytes_per_user,
        settings.max_memory_entries_per_user,
    )
    quotas = QuotaGuard(defaults, remembered_seconds=remembered_seconds)
    storage = StorageGuard(database, defaults)
    workflows = Dispatcher(client, settings.public_url)
    return Services(
        database=database,
        workflows=workflows,
        schedules=Schedules(client),
        quotas=quotas,
        storage=storage,
        blobs=Blobs(database, artifact_store(settings), patience_seconds=store_patience_seconds),
        links=make_token_box(settings),
        secrets=SecretBox(keys.get_secret_value() if keys else None),
        schemas=schemas,
        settings=OperatorSettings(
            default_model=settings.model,
            working_directories=settings.working_directories,
            network=NetworkList.parse(settings.network_allow),
            check_url=partial(check_url, exemptions=outbound.exemptions),
            memory_language=settings.memory_language,
        ),
        models=ModelCatalog(database),
        closings=WorkflowClosings(workflows.wake),
        dispatch_marks=DispatchMarks(database),
        user_caches=(*user_caches, quotas, storage),
    )
