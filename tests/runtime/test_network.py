"""Addresses that tools may connect to: checked, pinned, and never Perdure's own."""

from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from domain.errors import AddressRefusedError
from domain.web.network import NetworkList
from runtime.network import NetworkGuard, OwnEndpoint
from runtime.own_endpoints import own_endpoints
from runtime.settings import Settings

LISTED = NetworkList.parse(["*.example.com", "127.0.0.0/8:9000", "localhost:9000"])


class Names:
    """A resolver with one answer for each look-up, as a name server under attack has."""

    def __init__(self, *answers: Sequence[str]) -> None:
        """`answers` are returned one after the other; the last one repeats."""
        self._answers = list(answers)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return the next answer."""
        del host, port
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def guard_of(*answers: Sequence[str], own: Sequence[OwnEndpoint] = ()) -> NetworkGuard:
    return NetworkGuard(LISTED, own, resolve=Names(*answers).resolve)


async def test_a_public_address_is_pinned() -> None:
    guard = guard_of(["93.184.215.14", "10.0.0.1"])
    assert await guard.pin("API.example.com.", 443, LISTED) == ["93.184.215.14"]


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"])
async def test_a_name_with_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(AddressRefusedError, match="not public"):
        await guard_of([address]).pin("api.example.com", 443, LISTED)


async def test_a_name_that_resolves_differently_later_stays_refused() -> None:
    guard = guard_of(["93.184.215.14"], ["127.0.0.1"])
    assert await guard.pin("api.example.com", 443, LISTED) == ["93.184.215.14"]
    with pytest.raises(AddressRefusedError):
        await guard.pin("api.example.com", 443, LISTED)


async def test_what_the_execution_or_the_operator_does_not_list_is_refused() -> None:
    guard = guard_of(["93.184.215.14"])
    with pytest.raises(AddressRefusedError, match="not in the network list"):
        await guard.pin("api.example.com", 443, NetworkList.parse(["other.example.com"]))
    with pytest.raises(AddressRefusedError, match="any more"):
        await guard.pin("api.example.org", 443, NetworkList.parse(["*.example.org"]))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::ffff:127.0.0.1"])
async def test_an_own_port_is_refused_at_every_address_of_this_machine(host: str) -> None:
    guard = guard_of([], own=[OwnEndpoint("localhost", 9000)])
    with pytest.raises(AddressRefusedError, match="belongs to Perdure"):
        await guard.pin(host, 9000, LISTED)


async def test_a_listed_address_of_this_machine_is_pinned() -> None:
    assert await guard_of([]).pin("127.0.0.1", 9000, LISTED) == ["127.0.0.1"]
    assert "127.0.0.1" in await guard_of([]).pin("localhost", 9000, LISTED)


def test_own_endpoints_are_all_ports_of_the_settings() -> None:
    settings = Settings.model_validate(
        {
            "api_port": 8123,
            "temporal_address": "temporal:7233",
            "temporal_ui_url": "http://localhost:8233",
            "database_url": "postgresql://perdure:secret@db/perdure",
            "public_url": "https://perdure.example.com",
        }
    )
    assert {(own.host, own.port) for own in own_endpoints(settings)} == {
        ("127.0.0.1", 8123),
        ("temporal", 7233),
        ("localhost", 8233),
        ("db", 5432),
        ("perdure.example.com", 443),
    }


@pytest.mark.parametrize("entry", ["not a host!!", "hooks.internal:8080", "*", "http://x.internal"])
def test_an_exemption_that_no_url_can_match_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError, match=r"write entries without a port, such as hooks"):
        Settings.model_validate({"outbound_allow": f"10.2.0.0/16,{entry}"})


def test_exemptions_have_the_form_of_hosts_in_urls() -> None:
    settings = Settings.model_validate({"outbound_allow": "Bücher.internal., 10.2.0.0/16,::1"})
    assert settings.outbound_allow == ("xn--bcher-kva.internal", "10.2.0.0/16", "::1")


def test_a_list_that_is_too_long_for_the_proxy_is_refused() -> None:
    hosts = ",".join(f"host-{number}.example.com" for number in range(5_000))
    with pytest.raises(ValidationError, match="characters"):
        Settings.model_validate({"network_allow": hosts})
