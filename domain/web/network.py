"""Network access of tools: lists of hosts and ports, and what they permit.

An entry is `api.example.com`, `*.example.org` (subdomains only), `*` (every host), an address
(`10.1.2.3`, `[2001:db8::1]`) or a network of addresses (`10.1.0.0/16`), each with or without a port
(`git.example.com:22`). Without a port it opens ports 80 and 443. The operator's list has the same
form as that of a task. Which addresses a name may have is decided when it is resolved
(`address_problem`).
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

from domain.web.addresses import Address, Network, is_public

DEFAULT_PORTS = frozenset({80, 443})
"""What an entry without a port opens: HTTP and HTTPS."""

MAX_ENTRIES = 100
"""Of one list (chosen: a task that needs more hosts uses `*.` entries)."""

MAX_HOST_CHARACTERS = 253
"""Of a host name (RFC 1035, section 2.3.4)."""

MAX_ENTRY_CHARACTERS = 300
"""More than a host name with a port has."""

LAST_PORT = 65_535

ANY, SUBDOMAINS = "*", "*."
LOCALHOST = "localhost"
LOOPBACK = ("127.0.0.1", "::1")
"""The addresses of `localhost`, which is never resolved (RFC 6761, section 6.3)."""

PROXY_HOST, PROXY_PORT = "127.0.0.1", 3128
"""Of the proxy, in the network of each sandbox: the usual port of HTTP proxies."""

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_PORT = re.compile("[0-9]{1,5}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_DEVIATIONS = frozenset("\u00df\u03c2\u200c\u200d")
"""Characters that two versions of IDNA encode differently."""

_SHOWN_ENTRIES = 10


class NetworkEntryError(ValueError):
    """An entry of a list is wrong; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """One entry. `network` is set if `host` is an address or a network of addresses."""

    host: str
    port: int | None = None
    network: Network | None = None

    @property
    def ports(self) -> frozenset[int]:
        """The ports that it opens."""
        return DEFAULT_PORTS if self.port is None else frozenset({self.port})

    def __str__(self) -> str:
        if self.port is None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def covers(self, other: Self) -> bool:
        """Whether it includes every host of the other entry, whatever the ports."""
        if self.host in (ANY, other.host):
            return True
        if self.network is not None and other.network is not None:
            return _contains(self.network, other.network)
        return self.host.startswith(SUBDOMAINS) and other.host.endswith(self.host[1:])

    def intersection(self, other: Self) -> Self | None:
        """What both entries permit, or None."""
        if self.covers(other):
            narrow = other
        elif other.covers(self):
            narrow = self
        else:
            return None
        if self.port == other.port:
            return narrow
        shared = self.ports & other.ports
        return replace(narrow, port=min(shared)) if shared else None


def parse_entry(text: str) -> NetworkEntry:
    """Parse one entry; host names become lower-case ASCII.

    Raises:
        NetworkEntryError: it can't match any connection; the message says what to write instead.
    """
    given = text.strip()
    if not given or len(given) > MAX_ENTRY_CHARACTERS:
        raise NetworkEntryError("Write a host, such as api.example.com or git.example.com:22.")
    if suggestion := _suggestion(given):
        raise NetworkEntryError(f"{given!r} is not a host with a port; write {suggestion!r}.")
    host, port = _split_port(given)
    if (network := _network(host)) is not None:
        whole = network.prefixlen == network.max_prefixlen
        shown = str(network.network_address) if whole else str(network)
        return NetworkEntry(shown, port, network)
    if host == ANY:
        return NetworkEntry(ANY, port)
    name = host.removeprefix(SUBDOMAINS)
    if (found := parse_host(name)) is None:
        raise NetworkEntryError(_host_problem(given, name))
    if _literal(found) is not None:
        raise NetworkEntryError(f"{given!r} can't match: an address has no subdomains; write it.")
    return NetworkEntry(host[: len(host) - len(name)] + found, port)


def _suggestion(given: str) -> str | None:
    """What was probably meant by a URL, a part of a name or a list; None if nothing is wrong."""
    rest = re.sub(r"^[a-z][a-z0-9+.-]*://", "", given, flags=re.IGNORECASE)
    rest = rest.rpartition("@")[2]
    if not _network(rest.partition("]:")[0].strip("[")) and not _has_prefix_length(rest):
        rest = re.split(r"[/?#]", rest)[0]
    if given.lower().startswith("ssh://") and ":" not in rest:
        rest += ":22"
    rest = re.sub(r"^(?:\*(?!\.|:|$)|\.)", SUBDOMAINS, rest)
    return rest if rest and rest != given else None


def _has_prefix_length(text: str) -> bool:
    """Whether it is a network of IPv4 addresses, with or without a port."""
    return re.fullmatch(r"[0-9.]+/[0-9]+(:[0-9]+)?", text) is not None


def _split_port(text: str) -> tuple[str, int | None]:
    """Split `host:port`. An IPv6 address with a port is in brackets."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            raise NetworkEntryError(f"{text!r} is not an address with a port; write '[::1]:443'.")
        return host, _port(text, port[1:]) if port else None
    host, colon, port = text.rpartition(":")
    if not colon or ":" in host:  # an IPv6 address without a port
        return text, None
    return host, _port(text, port)


def _port(text: str, port: str) -> int:
    if not _PORT.fullmatch(port) or not 0 < int(port) <= LAST_PORT:
        raise NetworkEntryError(
            f"{text!r} has no valid port; write one port from 1 to 65535 in each entry."
        )
    return int(port)


def _network(host: str) -> Network | None:
    if "%" in host:
        return None
    try:
        network = ip_network(host, strict=False)
    except ValueError:
        return None
    if isinstance(network, IPv6Network) and network.prefixlen == network.max_prefixlen:
        return ip_network(plain_address(network.network_address))
    return network


def _host_problem(given: str, name: str) -> str:
    if ANY in name:
        return f"{given!r} can't match: only the start of an entry may be '*.'."
    if _DEVIATIONS & set(name):
        return f"{given!r} has several ASCII forms; write the one that is meant (xn--…)."
    return f"{given!r} is not a host name or an address; write a host, such as api.example.com."


def parse_host(host: str) -> str | None:
    """Return a host in the form that entries have, or None if it is neither a name nor an address.

    Addresses in other spellings (`127.1`, `0x7f000001`) are neither: resolvers read them
    differently.
    """
    if (address := _literal(host.removeprefix("[").removesuffix("]"))) is not None:
        return str(address)
    name = host.removesuffix(".")
    if not name.isascii():
        if _DEVIATIONS & set(name):
            return None
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    name = name.lower()
    labels = name.split(".")
    if len(name) > MAX_HOST_CHARACTERS or not all(map(_LABEL.fullmatch, labels)):
        return None
    return None if _NUMBER.fullmatch(labels[-1]) else name


def parse_exemption(text: str) -> str:
    """Return an entry of the operator's list of hosts for webhooks: a host, or a network.

    Raises:
        NetworkEntryError: it can't match any URL; the message says what to write instead.
    """
    found = text if _network(text) is not None else parse_host(text)
    if found is None:
        raise NetworkEntryError(
            f"{text!r} is not a host, an address or a network; write entries without a port, such "
            "as hooks.internal,10.2.0.0/16."
        )
    return found


def _literal(host: str) -> Address | None:
    try:
        return None if "%" in host else plain_address(ip_address(host))
    except ValueError:
        return None


def plain_address(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for, or the address itself."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _contains(network: Network, other: Network) -> bool:
    if isinstance(network, IPv4Network):
        return isinstance(other, IPv4Network) and other.subnet_of(network)
    return isinstance(other, IPv6Network) and other.subnet_of(network)


@dataclass(frozen=True, slots=True)
class NetworkList:
    """What a task, an agent or the operator allows. An empty list permits nothing."""

    entries: tuple[NetworkEntry, ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Parse the entries.

        Raises:
            NetworkEntryError: an entry can't match any connection.
        """
        return cls(tuple(dict.fromkeys(map(parse_entry, texts))))

    def __bool__(self) -> bool:
        return bool(self.entries)

    def texts(self) -> tuple[str, ...]:
        """The entries as they are stored."""
        return tuple(map(str, self.entries))

    def permits(self, host: str, port: int) -> bool:
        """Whether a connection to this host, a name or an address, is in the list."""
        name = parse_host(host)
        if name is None:
            return False
        address = _literal(name)
        asked = NetworkEntry(name, port, None if address is None else ip_network(address))
        return any(port in e.ports and e.covers(asked) for e in self.entries)

    def lists_address(self, address: Address, port: int) -> bool:
        """Whether the list contains this very address, or a network of it, with this port."""
        plain = plain_address(address)
        return any(
            e.network is not None and plain in e.network and port in e.ports
            for e in (*self.entries, *self._expand_localhost())
        )

    def _expand_localhost(self) -> Iterator[NetworkEntry]:
        """The addresses that an entry for `localhost` stands for."""
        for entry in self.entries:
            if entry.host == LOCALHOST:
                for address in LOOPBACK:
                    yield replace(entry, host=address, network=ip_network(address))

    def intersection(self, other: Self) -> Self:
        """What both lists permit, in the order of this one."""
        pairs = ((entry, others) for entry in self.entries for others in other.entries)
        both = [found for a, b in pairs if (found := a.intersection(b)) is not None]
        return replace(self, entries=tuple(dict.fromkeys(both)))

    def excess_problem(self, entry: NetworkEntry) -> str | None:
        """Why this list, the operator's, does not allow an entry, and what to write, or None."""
        if all(any(p in e.ports and e.covers(entry) for e in self.entries) for p in entry.ports):
            return None
        narrower = NetworkList((entry,)).intersection(NetworkList(self.entries)).texts()
        if narrower:
            return f"Of {str(entry)!r}, this server allows only {_join(narrower)}; write that."
        allowed = f"It allows {_join(self.texts())}." if self.entries else "It allows no network."
        return (
            f"This server does not allow {str(entry)!r}. {allowed} An operator can allow more with "
            "PERDURE_NETWORK_ALLOW."
        )


NO_NETWORK = NetworkList()


def _join(texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN_ENTRIES
    return ", ".join(texts[:_SHOWN_ENTRIES]) + (f" and {more} more" if more > 0 else "")


def address_problem(host: str, address: Address, port: int, operator: NetworkList) -> str | None:
    """Why a connection to `host` may not go to this address of it, or None.

    An address that is not public has to be in the operator's list itself: the owner of a name
    decides which addresses it has, and can change them.
    """
    plain = plain_address(address)
    if plain.is_unspecified or plain.is_multicast:
        return f"{host} has the address {plain}, which is not that of a host."
    if is_public(plain) or operator.lists_address(plain, port):
        return None
    return (
        f"{host} has the address {plain}, which is not public. An operator can allow it by adding "
        f"{NetworkEntry(str(plain), port)} to PERDURE_NETWORK_ALLOW."
    )


def describe_hosts(network: NetworkList) -> str:
    """What a tool can connect to, for the model, as a sentence without its end."""
    return f"It can connect only to {', '.join(network.texts())} (without a port: 80 and 443)"


def describe_network(network: NetworkList) -> str:
    """What a command can reach, as a sentence for the model."""
    if not network:
        return "There is no network."
    return (
        f"{describe_hosts(network)}, through the HTTP proxy in its environment, which curl, git, "
        "pip and ssh use by themselves."
    )
