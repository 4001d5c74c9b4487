"""Which names and origins a request may come by (design.md, section 6).

A web page that has its own name point at this machine (DNS rebinding) still says its own name in
`Host`, and one elsewhere says where it comes from in `Origin`.
"""

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

from starlette.types import Scope

from api.http.errors import HostRefusedError, OriginRefusedError
from domain.errors import PerdureError
from runtime.settings import Settings

LOCAL = ("localhost", "127.0.0.1", "::1")
"""Nobody can make these names lead elsewhere, so they are let in always."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})

_PROBES = ("/health/live", "/health/ready")
"""Asked by address, by whatever keeps us running; they tell nothing that others may not know."""


class HostPolicy:
    """What the operator lets in."""

    def __init__(
        self, hosts: Sequence[str] | None, origins: Sequence[str], home: str | None
    ) -> None:
        """`hosts` None is any; `*.example.com` stands for its subdomains; `home` is our origin."""
        names = [host.lower() for host in hosts or ()]
        self._any_host = hosts is None or "*" in names
        self._hosts = frozenset(names)
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._origins = frozenset(o.lower() for o in (*origins, home) if o)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say; on loopback only local names and the public one lead here.

        Raises:
            ValueError: an origin is none, or all of them.
        """
        for origin in settings.cors_origins:
            if urlsplit(origin).netloc == "" or origin != _origin(origin):
                raise ValueError(
                    f"PERDURE_CORS_ORIGINS: {origin!r} is no origin; write https://name[:port], "
                    "one for each application."
                )
        public = settings.public_url
        hosts: Sequence[str] | None = settings.allowed_hosts or None
        if hosts is None and _is_loopback(settings.api_host):
            hosts = (settings.api_host,)
        if hosts is not None:
            name = urlsplit(public).hostname if public else None
            hosts = (*hosts, *LOCAL, *([name] if name else []))
        return cls(hosts, settings.cors_origins, _origin(public) if public else None)

    def refusal(self, scope: Scope) -> PerdureError | None:
        """Why the request of this scope is not let in, if it is not."""
        host = origin = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1").lower()
        if not self._any_host and not self._knows(host) and scope["path"] not in _PROBES:
            return HostRefusedError(
                "This name is not one of the gateway's. Add it to PERDURE_ALLOWED_HOSTS, or set "
                "PERDURE_PUBLIC_URL."
            )
        # Not parsed as an URL: what is sent may be none, and only the very same text is ours.
        is_ours = not origin or origin.partition("://")[2] == host or origin in self._origins
        if not is_ours and scope["method"] not in _READS:
            return OriginRefusedError(
                "A page of another origin sent this. Add the origin to PERDURE_CORS_ORIGINS, or "
                "set PERDURE_PUBLIC_URL if it is the gateway's own."
            )
        return None

    def _knows(self, host: str) -> bool:
        if host.startswith("["):
            name, _, rest = host[1:].partition("]")
            if rest.partition(":")[0]:  # what stands behind an address is no part of it
                return False
        else:
            name = host.partition(":")[0]
        return name in self._hosts or name.endswith(self._suffixes)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
