import pytest

from domain.mcp_servers import reference_in, sounds_secret


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
def test_a_reference_stands_alone_or_behind_a_word(value: str, reference: str | None) -> None:
    assert reference_in(value) == reference
