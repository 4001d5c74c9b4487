"""Which addresses are public, and what an operator may exempt."""

from ipaddress import ip_address

import pytest

from domain.web.addresses import Exemptions, is_public


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.1", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.9",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.9", "192.0.2.1",
        "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.7", "224.0.0.1",
        "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:0:53aa:64c::1", "2001:db8::1", "2002:7f00:1::1",
        "3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%1", "fec0::1",
        "ff02::1",
    ],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    assert not Exemptions().permit("example.com", address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "100.63.255.255", "172.32.0.1", "2606:4700::1111", "2a00:1450:4001::1", "8.8.8.8"],
)
def test_what_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert Exemptions().permit("example.com", address)


def test_an_operator_lists_hosts_addresses_and_networks() -> None:
    listed = Exemptions(["Hooks.Internal", "10.2.0.0/16", " 127.0.0.1 ", "fd00::/8"])
    assert listed.permit("hooks.internal", "192.168.0.4")
    assert listed.permit("hooks.internal.", "192.168.0.4")
    assert listed.permit("other.internal", "10.2.9.9")
    assert listed.permit("127.0.0.1", "127.0.0.1")
    assert listed.permit("six.internal", "fd12::1")
    assert not listed.permit("other.internal", "10.3.0.1")
    assert not listed.permit("evil-hooks.internal", "192.168.0.4")
    assert not listed.permit("localhost", "127.0.0.2")
