"""Which addresses requests for users may go to: public ones, and those of the operator's list.

`is_global` of Python is not enough: it includes multicast, 6to4 and NAT64 (Python 3.11.7).
"""

from collections.abc import Iterable
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

MAX_URL_LENGTH = 2048
"""Of a URL that a user gives; no service has longer ones (chosen)."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC = tuple(
    IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers (CGNAT)
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; clouds serve credentials there
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""IANA's special-purpose registry of IPv4 (2025-10), without the reachable networks."""

_IPV6_UNICAST = IPv6Network("2000::/3")
"""The only allocated part of IPv6; it excludes mapped, NAT64, private and link-local addresses."""

_NOT_PUBLIC_IPV6 = tuple(
    IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: contains an IPv4 address
        "3fff::/20",  # documentation
    )
)


def is_public(address: Address) -> bool:
    """Whether the address is a public address of the internet."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    return address in _IPV6_UNICAST and not any(address in net for net in _NOT_PUBLIC_IPV6)


class Exemptions:
    """Hosts and networks that are allowed although they are not public."""

    def __init__(self, listed: Iterable[str] = ()) -> None:
        """`listed` contains host names, addresses and networks (`10.1.0.0/16`)."""
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in listed:
            try:
                self._networks.append(ip_network(entry.strip(), strict=False))
            except ValueError:
                self._names.add(entry.strip().lower())

    def permit(self, host: str, address: str) -> bool:
        """Whether a request to `host`, which was resolved to `address`, is allowed."""
        found = ip_address(address)
        if is_public(found) or host.lower().rstrip(".") in self._names:
            return True
        return any(found in network for network in self._networks)


def literal(host: str) -> Address | None:
    """Parse `host` as an address; None if it is a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None
