r"""URLs of the web tools, read strictly: every part of Perdure sees the same host.

Programs read unusual URLs in different ways (`http://a\@b`, `http://127.1`). They are refused here,
so that the host that rules and lists are compared with is the host that is connected to.
"""

import re
from dataclasses import dataclass
from urllib.parse import urljoin

from domain.web.addresses import MAX_URL_LENGTH
from domain.web.network import parse_host

_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\x00-\x20\x7f\\/?#@:\[\]]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<rest>[/?][^#]*)?(?:#.*)?",
    re.IGNORECASE | re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535


class WebUrlError(ValueError):
    """A URL can't be used; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class WebUrl:
    """A URL with a host in the form of `domain.web.network`, and without a fragment.

    `rest` is the path and the query, as they were written.
    """

    scheme: str
    host: str
    port: int
    rest: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what may receive the same credentials (RFC 6454)."""
        return self.scheme, self.host, self.port

    def join(self, location: str) -> "WebUrl":
        """Return the URL that the header `Location` of a response from here means.

        Raises:
            WebUrlError: it is no URL that can be used.
        """
        try:
            joined = urljoin(str(self), location)
        except ValueError:
            raise WebUrlError("It is not a valid URL.") from None
        return parse_url(joined)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == _DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.rest}"


def parse_url(text: str) -> WebUrl:
    """Parse a URL.

    Raises:
        WebUrlError: it is no URL that can be used.
    """
    if len(text) > MAX_URL_LENGTH:
        raise WebUrlError(f"The URL is too long; use at most {MAX_URL_LENGTH} characters.")
    if _CONTROL.search(text):
        raise WebUrlError("The URL contains control characters; encode them with %.")
    if not text.isprintable() and any("\ud800" <= c <= "\udfff" for c in text):
        raise WebUrlError("The URL contains a part of a character; encode it with %.")
    if not text.lower().startswith(("http://", "https://")):
        raise WebUrlError("The URL must start with https:// or http://.")
    found = _URL.fullmatch(text)
    if found is None:
        raise WebUrlError(_problem(text))
    host, scheme = parse_host(found["host"]), found["scheme"].lower()
    if host is None:
        raise WebUrlError(
            f"{found['host']!r} is not a host; write its full name, or an address in the usual "
            "form, such as 192.0.2.1 or [2001:db8::1]."
        )
    port = int(found["port"]) if found["port"] else _DEFAULT_PORTS[scheme]
    if not 0 < port <= _LAST_PORT:
        raise WebUrlError(f"Port {port} does not exist; use one from 1 to {_LAST_PORT}.")
    rest = found["rest"] or "/"
    return WebUrl(scheme, host, port, rest if rest.startswith("/") else f"/{rest}")


def host_of(text: object) -> str | None:
    """Return the host of a URL, or None if the tools refuse the URL."""
    try:
        return parse_url(text).host if isinstance(text, str) else None
    except WebUrlError:
        return None


def _problem(text: str) -> str:
    authority = re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]
    if "@" in authority:
        return (
            "The URL must not contain a user name or a password; send them in the header "
            "Authorization."
        )
    return "This is not a valid URL; write it as https://host/path."
