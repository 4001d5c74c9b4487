"""Decides to which addresses tools may connect. The proxy and tools in the worker use it."""

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

from domain.errors import AddressRefusedError, OutboundError
from domain.web.addresses import Address, literal
from domain.web.network import (
    LOCALHOST,
    LOOPBACK,
    NetworkList,
    address_problem,
    parse_host,
    plain_address,
)
from runtime.resolution import Resolve, system_resolve

_ALL_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 # compared with, not bound


@dataclass(frozen=True, slots=True)
class OwnEndpoint:
    """A host and port of Perdure itself, or of what it stores its data in."""

    host: str
    port: int


class NetworkGuard:
    """Checks connections of tools, and returns the addresses that they may be made to.

    The caller connects to one of exactly these addresses, so that a name that resolves differently
    a moment later (DNS rebinding) has no effect.
    """

    def __init__(
        self,
        operator: NetworkList,
        own: Sequence[OwnEndpoint] = (),
        *,
        resolve: Resolve = system_resolve,
    ) -> None:
        """`operator` is the setting PERDURE_NETWORK_ALLOW; `own` is never connected to."""
        self._operator = operator
        self._own = own
        self._resolve = resolve

    async def pin(self, host: str, port: int, allowed: NetworkList) -> Sequence[str]:
        """Return the addresses, best first, to which a connection may be made.

        `allowed` is the list of the execution; what the operator no longer allows is refused.

        Raises:
            AddressRefusedError: it may not be made; the message says why.
            OutboundError: the host name can't be resolved.
        """
        name = parse_host(host)
        if name is None:
            raise AddressRefusedError(f"{host!a:.100} is not a host name or an address.")
        if not allowed.permits(name, port):
            raise AddressRefusedError(
                f"{name}:{port} is not in the network list of this execution (network.allow)."
            )
        if not self._operator.permits(name, port):
            raise AddressRefusedError(
                f"{name}:{port} is not allowed on this server any more (PERDURE_NETWORK_ALLOW)."
            )
        addresses = [plain_address(ip_address(a)) for a in await self._look_up(name, port)]
        problems = [address_problem(name, a, port, self._operator) for a in addresses]
        permitted = [a for a, problem in zip(addresses, problems, strict=True) if not problem]
        if not permitted:
            raise AddressRefusedError(next(filter(None, problems), f"{name} has no address."))
        await self._refuse_own(name, port, permitted)
        return [str(address) for address in permitted]

    async def _look_up(self, name: str, port: int) -> Sequence[str]:
        if name == LOCALHOST:
            return LOOPBACK
        if literal(name) is not None:
            return (name,)
        return [a for a in await self._resolve(name, port) if literal(a) is not None]

    async def _refuse_own(self, name: str, port: int, addresses: Sequence[Address]) -> None:
        """Refuse a connection to Perdure itself, by whatever name or address."""
        for own in self._own:
            if own.port != port:
                continue
            if own.host.lower() == name or await self._is_at(own, addresses):
                raise AddressRefusedError(
                    f"Port {port} of {name} belongs to Perdure itself; tools can't connect to it."
                )

    async def _is_at(self, own: OwnEndpoint, addresses: Sequence[Address]) -> bool:
        if own.host in _ALL_ADDRESSES:
            return any(map(_is_local, addresses))
        try:
            found = [plain_address(ip_address(a)) for a in await self._look_up(own.host, own.port)]
        except OutboundError:
            return False
        is_here = any(map(_is_local, found))
        return any(a in found or (is_here and _is_local(a)) for a in addresses)


def _is_local(address: Address) -> bool:
    """Whether the address is one of this machine: only such an address can be bound."""
    family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
