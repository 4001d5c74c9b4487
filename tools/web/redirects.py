"""Requests of the web tools, and what follows from a redirect (RFC 9110, section 15.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from domain.secrets import reference_in, sounds_secret
from domain.web.calls import IDEMPOTENCY_KEY, SAFE_METHODS
from domain.web.urls import WebUrl

MAX_REDIRECTS = 5
"""Of one call (chosen: real ones have one or two)."""

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OF_CONTENT = ("content-", IDEMPOTENCY_KEY)
"""Beginnings of the names of headers that belong to the body or the method."""


@dataclass(frozen=True, slots=True)
class WebRequest:
    """A request. Values of `headers` may be references to secrets; `content` is the body."""

    method: str
    url: WebUrl
    headers: Mapping[str, str]
    content: bytes | None = None

    @property
    def is_safe(self) -> bool:
        """Whether it only reads."""
        return self.method in SAFE_METHODS


def follow_redirect(request: WebRequest, status: int, location: str | None) -> WebRequest | None:
    """Return the request that follows from a response, or None if the response is the result.

    A request that may change something is not repeated at another server: then the model decides.

    Raises:
        WebUrlError: the response leads to a URL that can't be used.
    """
    if status not in _REDIRECTS or not location:
        return None
    url = request.url.join(location)
    method = _method(request.method, status)
    is_other = url.origin != request.url.origin
    if is_other and method not in SAFE_METHODS:
        return None
    following = replace(request, url=url, headers=dict(request.headers))
    if is_other:
        following = replace(following, headers=_without_credentials(request.headers))
    if method == request.method:
        return following
    kept = {n: v for n, v in following.headers.items() if not n.lower().startswith(_OF_CONTENT)}
    return replace(following, method=method, headers=kept, content=None)


def _method(method: str, status: int) -> str:
    """The method of the next request: 303 means to read another resource."""
    if status == 303 and method != "HEAD":  # noqa: PLR2004 - a status
        return "GET"
    return "GET" if status in (301, 302) and method == "POST" else method


def _without_credentials(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that another server may get: none that is a secret, or sounds like one."""
    return {
        name: value
        for name, value in headers.items()
        if reference_in(value) is None and not sounds_secret(name)
    }
