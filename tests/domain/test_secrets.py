"""References to secrets, and what a secret may reach."""

import base64

import pytest

from domain.errors import SecretUnusableError
from domain.secrets import decode_signing_key, may_reach, name_in, reference_in, sounds_secret


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("secret://github", "github"),
        ("github", "github"),
        ("secret://a.b_c-1", "a.b_c-1"),
        ("secret://", None),
        ("secret://../x", None),
        ("secret://A", None),
        ("https://github", None),
        ("secret://a\n", None),
        ("", None),
    ],
)
def test_names_in_references(reference: str, name: str | None) -> None:
    assert name_in(reference) == name


@pytest.mark.parametrize(
    ("hosts", "host", "may"),
    [
        (["api.github.com"], "api.github.com", True),
        (["API.github.com"], "api.GitHub.com.", True),
        (["*.github.com"], "api.github.com", True),
        (["*.github.com"], "a.b.github.com", True),
        (["*.github.com"], "github.com", False),
        (["*.github.com"], "evilgithub.com", False),
        (["github.com"], "api.github.com", False),
        (["github.com"], "github.com.evil.example", False),
        ([], "github.com", False),
    ],
)
def test_what_a_secret_may_reach(hosts: list[str], host: str, *, may: bool) -> None:
    assert may_reach(hosts, host) is may


@pytest.mark.parametrize(
    "name",
    ["Authorization", "X-API-Key", "ApiKey", "api_key", "PRIVATE_KEY", "Key", "Cookie", "GH_TOKEN",
     "DB_PASSWORD", "X-Auth"],
)  # fmt: skip
def test_names_of_secrets_sound_so(name: str) -> None:
    assert sounds_secret(name)


@pytest.mark.parametrize("name", ["X-Team", "Accept", "X-Author", "X-Keyboard", "PATH", "Monkey"])
def test_other_names_do_not(name: str) -> None:
    assert not sounds_secret(name)


@pytest.mark.parametrize(
    ("value", "reference"),
    [
        ("secret://a", "secret://a"),
        ("Bearer secret://a.b-c", "secret://a.b-c"),
        ("Bearer  secret://a", None),
        ("secret://A", None),
        ("secret://a secret", None),
        ("plain", None),
    ],
)
def test_a_reference_is_alone_or_after_a_word(value: str, reference: str | None) -> None:
    assert reference_in(value) == reference


@pytest.mark.parametrize("length", [24, 32, 64])
def test_a_long_enough_key_signs(length: int) -> None:
    key = b"\xfbk" * (length // 2)
    assert decode_signing_key("whsec_" + base64.b64encode(key).decode()) == key


@pytest.mark.parametrize(
    "value",
    [
        "whsec_QQ==",  # one byte
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_",
        "whsec_\xe4",
        "whsec_" + base64.b64encode(b"k" * 32).decode() + "\n",
        "whsec_" + base64.urlsafe_b64encode(b"\xfb" * 24).decode(),
        base64.b64encode(b"k" * 32).decode(),
        "",
    ],
)
def test_other_values_do_not_sign(value: str) -> None:
    with pytest.raises(SecretUnusableError, match="24 bytes or more"):
        decode_signing_key(value)
