"""The hosts and ports of Perdure itself, from the settings."""

from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import urlsplit

from runtime.network import OwnEndpoint
from runtime.settings import Settings

_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "postgres": 5432}


def own_endpoints(settings: Settings) -> Sequence[OwnEndpoint]:
    """Return what no tool may connect to: the gateway, Temporal, its UI and the database."""
    urls = (settings.public_url, settings.api_url, settings.temporal_ui_url, settings.database_url)
    found = [OwnEndpoint(settings.api_host, settings.api_port)]
    if settings.temporal_address is not None:
        host, _, port = settings.temporal_address.rpartition(":")
        found.append(OwnEndpoint(host.strip("[]"), int(port)))
    return list(dict.fromkeys([*found, *_endpoints_of(str(url) for url in urls if url)]))


def _endpoints_of(urls: Iterable[str]) -> Iterator[OwnEndpoint]:
    for url in urls:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.partition("+")[0])
        if parts.hostname and port:
            yield OwnEndpoint(parts.hostname, port)
