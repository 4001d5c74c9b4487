"""Sealing secrets: bound to a place, by a key that can be changed."""

import pytest
from pydantic import SecretStr, ValidationError

from domain.errors import SecretsNotConfiguredError
from runtime.secret_box import SecretBox
from runtime.settings import Settings

OLD, NEW = "o" * 32, "n" * 44


def test_a_sealed_value_opens_with_its_key_and_label() -> None:
    sealed = SecretBox(OLD).seal("pässword", label="secret:1")
    assert SecretBox(OLD).open(sealed, label="secret:1") == "pässword"
    assert "pässword".encode() not in sealed


def test_the_same_value_is_never_sealed_alike() -> None:
    assert SecretBox(OLD).seal("x", label="a") != SecretBox(OLD).seal("x", label="a")


def test_keys_are_changed_by_putting_the_new_one_first() -> None:
    sealed = SecretBox(OLD).seal("kept", label="a")
    both = SecretBox(f"{NEW}, {OLD}")
    assert both.open(sealed, label="a") == "kept"
    assert SecretBox(NEW).open(both.seal("new", label="a"), label="a") == "new"
    with pytest.raises(SecretsNotConfiguredError, match="not in PERDURE_SECRETS_KEY"):
        SecretBox(NEW).open(sealed, label="a")


def test_another_place_or_changed_bytes_do_not_open() -> None:
    sealer = SecretBox(OLD)
    sealed = sealer.seal("kept", label="secret:1")
    for bytes_, label in (
        (sealed, "secret:2"),
        (sealed[:-1] + bytes([sealed[-1] ^ 1]), "secret:1"),
        (sealed[:12], "secret:1"),
        (b"", "secret:1"),
    ):
        with pytest.raises(SecretsNotConfiguredError):
            sealer.open(bytes_, label=label)


def test_no_key_says_what_to_set() -> None:
    assert not SecretBox(None).is_ready
    assert not SecretBox(" , ").is_ready
    with pytest.raises(SecretsNotConfiguredError, match="PERDURE_SECRETS_KEY"):
        SecretBox(None).seal("x", label="a")


def test_settings_refuse_a_key_that_is_too_short() -> None:
    assert Settings(secrets_key=SecretStr(f"{OLD},{NEW}")).secrets_key is not None
    with pytest.raises(ValidationError, match="32 characters"):
        Settings(secrets_key=SecretStr(f"{OLD},short"))
