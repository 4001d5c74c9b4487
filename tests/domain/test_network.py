"""Network lists: what entries mean, what is refused, and what two lists have in common."""

from ipaddress import ip_address

import pytest

from domain.web.network import (
    NetworkEntryError,
    NetworkList,
    address_problem,
    describe_network,
    parse_entry,
)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("API.Example.com.", "api.example.com"),
        ("*.example.org:443", "*.example.org:443"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("10.1.2.0/16:22", "10.1.0.0/16:22"),
        ("[::1]:443", "[::1]:443"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("*", "*"),
    ],
)
def test_an_entry_has_one_form(text: str, stored: str) -> None:
    assert str(parse_entry(text)) == stored
    assert str(parse_entry(stored)) == stored


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("https://api.example.com/v1", "write 'api.example.com'"),
        ("ssh://git@git.example.com", "write 'git.example.com:22'"),
        ("user@host.example:8080", "write 'host.example:8080'"),
        (".example.com", r"write '\*.example.com'"),
        ("*example.com", r"write '\*.example.com'"),
        ("a.*.example.com", r"only the start"),
        ("*.10.0.0.1", "an address has no subdomains"),
        ("host.example:80,443", "one port from 1 to 65535"),
        ("host.example:0", "one port from 1 to 65535"),
        ("host.example:*", "one port from 1 to 65535"),
        ("straße.example", "xn--"),
        ("0x7f000001", "not a host name or an address"),
        ("127.1", "not a host name or an address"),
        ("fe80::1%eth0", "not a host name or an address"),
        ("two words", "not a host name or an address"),
        ("", "Write a host"),
    ],
)
def test_an_entry_that_matches_nothing_is_refused_with_advice(text: str, says: str) -> None:
    with pytest.raises(NetworkEntryError, match=says):
        parse_entry(text)


@pytest.mark.parametrize(
    ("host", "port", "is_permitted"),
    [
        ("api.example.com", 443, True),
        ("API.EXAMPLE.COM.", 80, True),
        ("api.example.com", 22, False),
        ("example.com", 443, False),
        ("evil-api.example.com", 443, False),
        ("a.example.org", 443, True),
        ("a.b.example.org", 443, True),
        ("a.example.org", 80, False),
        ("example.org", 443, False),
        ("evilexample.org", 443, False),
        ("10.1.2.3", 22, True),
        ("::ffff:10.1.2.3", 22, True),
        ("10.2.2.3", 22, False),
        ("167837955", 22, False),
        ("0xa.1.2.3", 22, False),
        ("012.1.2.3", 22, False),
    ],
)
def test_a_list_permits_only_what_it_names(host: str, port: int, *, is_permitted: bool) -> None:
    allowed = NetworkList.parse(["api.example.com", "*.example.org:443", "10.1.0.0/16:22"])
    assert allowed.permits(host, port) is is_permitted


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        (["*.example.com"], ["api.example.com:443"], ("api.example.com:443",)),
        (["*.example.com"], ["*.eu.example.com"], ("*.eu.example.com",)),
        (["*:22", "*:443"], ["a.example", "b.example:22"], ("b.example:22", "a.example:443")),
        (["a.example"], ["a.example:22"], ()),
        (["10.1.0.0/16"], ["10.0.0.0/8:443"], ("10.1.0.0/16:443",)),
        (["*"], ["10.0.0.0/8"], ("10.0.0.0/8",)),
        ([], ["*"], ()),
    ],
)
def test_an_intersection_permits_what_both_lists_permit(
    first: list[str], second: list[str], both: tuple[str, ...]
) -> None:
    a, b = NetworkList.parse(first), NetworkList.parse(second)
    assert a.intersection(b).texts() == both
    assert set(b.intersection(a).texts()) == set(both)


def test_an_entry_beyond_the_operators_list_is_refused_with_what_fits() -> None:
    operator = NetworkList.parse(["*.example.com:443"])
    assert operator.excess_problem(parse_entry("api.example.com:443")) is None
    too_wide = operator.excess_problem(parse_entry("api.example.com"))
    assert too_wide is not None
    assert "api.example.com:443; write that" in too_wide
    other = operator.excess_problem(parse_entry("api.example.org"))
    assert other is not None
    assert "PERDURE_NETWORK_ALLOW" in other


def test_a_name_never_exempts_a_private_address() -> None:
    operator = NetworkList.parse(["git.internal:22", "10.0.0.5:22", "localhost:9000"])
    assert address_problem("git.internal", ip_address("10.0.0.5"), 22, operator) is None
    assert address_problem("git.internal", ip_address("93.184.215.14"), 22, operator) is None
    assert address_problem("localhost", ip_address("127.0.0.1"), 9000, operator) is None
    for address in ("10.0.0.6", "127.0.0.1", "169.254.169.254", "::1", "fd00::1"):
        found = address_problem("git.internal", ip_address(address), 22, operator)
        assert found is not None
        assert "not public" in found
    wide = NetworkList.parse(["0.0.0.0/0"])
    assert address_problem("a.example", ip_address(0), 80, wide) is not None


def test_the_description_names_the_hosts() -> None:
    assert "git.example:22" in describe_network(NetworkList.parse(["git.example:22"]))
    assert describe_network(NetworkList()) == "There is no network."
