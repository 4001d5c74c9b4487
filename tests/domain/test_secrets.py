"""References to secrets, and what a secret may reach."""

import pytest

from domain.secrets import is_reference, may_reach, name_in


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


def test_only_a_scheme_makes_a_value_a_reference() -> None:
    assert is_reference("secret://x")
    assert not is_reference("Bearer secret://x")


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
