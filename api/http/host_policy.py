"""The names and origins that requests may use.

If a web page uses DNS rebinding, `Host` still contains its own name. A request from a page of
another site contains the site in `Origin`.
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
"""These names are always allowed, because DNS cannot redirect them."""

_READS = frozenset({"GET", "HEAD", "OPTIONS"})

_PROBES = ("/health/live", "/health/ready")
"""Health checks use an address instead of a name. The responses contain nothing private."""


class HostPolicy:
    """The hosts and origins that the operator allows."""

    def __init__(
        self, hosts: Sequence[str] | None, origins: Sequence[str], home: str | None
    ) -> None:
        """`hosts` None means any host, `*.example.com` all subdomains; `home` is our own origin."""
        names = [host.lower() for host in hosts or ()]
        self._any_host = hosts is None or "*" in names
        self._hosts = frozenset(names)
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._origins = frozenset(o.lower() for o in (*origins, home) if o)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the settings; on loopback, only local names and the public name are allowed.

        Raises:
            ValueError: an origin is invalid or `*`.
        """
        for origin in settings.cors_origins:
            if urlsplit(origin).netloc == "" or origin != _origin(origin):
                raise ValueError(
                    f"PERDURE_CORS_ORIGINS: {origin!r} is not an origin; use https://name[:port], "
                    "and separate several origins with commas."
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
        """The error for a request that is not allowed, otherwise None."""
        host = origin = ""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value.decode("latin-1").lower()
            elif name == b"origin":
                origin = value.decode("latin-1").lower()
        if not self._any_host and not self._knows(host) and scope["path"] not in _PROBES:
            return HostRefusedError(
                "The host name of this request is not allowed. Add it to PERDURE_ALLOWED_HOSTS, "
                "or set PERDURE_PUBLIC_URL."
            )
        # Compared as text: the header may not be a valid URL, and only an identical origin is ours.
        is_ours = not origin or origin.partition("://")[2] == host or origin in self._origins
        if not is_ours and scope["method"] not in _READS:
            return OriginRefusedError(
                "A web page of another origin sent this request. Add the origin to "
                "PERDURE_CORS_ORIGINS, or set PERDURE_PUBLIC_URL if it is the gateway's own."
            )
        return None

    def _knows(self, host: str) -> bool:
        if host.startswith("["):
            name, _, rest = host[1:].partition("]")
            if rest.partition(":")[0]:  # the path is not part of the origin
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
