"""Seals secrets before they are stored and opens them where they are used.

AES-256-GCM (NIST SP 800-38D) by the library `cryptography`. Each sealed value is bound to a label
that names its place, so that a row's bytes are of no use in another row.
"""

import hashlib
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import SecretsNotConfiguredError

_NONCE_BYTES = 12  # what GCM is made for; random, so a key serves 2^32 sealings (SP 800-38D, 8.3)
_KEY_ID_BYTES = 4
_VERSION = b"\x01"
_HEAD = len(_VERSION) + _KEY_ID_BYTES

NO_KEY = (
    "Secrets can't be stored here: the operator has to set PERDURE_SECRETS_KEY, "
    "32 random characters or more (`openssl rand -base64 32`)."
)


class SecretBox:
    """Seals with the first key, opens with whichever key sealed."""

    def __init__(self, keys: str | None) -> None:
        """`keys` is the setting PERDURE_SECRETS_KEY: one key or several, with commas."""
        given = [key.strip() for key in (keys or "").split(",") if key.strip()]
        self._keys = [_key_id(key) for key in given]
        self._ciphers: Mapping[bytes, AESGCM] = {
            _key_id(key): AESGCM(hashlib.sha256(key.encode()).digest()) for key in given
        }

    @property
    def is_ready(self) -> bool:
        """Whether there is a key."""
        return bool(self._keys)

    def seal(self, value: str, *, label: str) -> bytes:
        """The value, readable by who holds the key and knows its label.

        Raises:
            SecretsNotConfiguredError: there is no key.
        """
        if not self._keys:
            raise SecretsNotConfiguredError(NO_KEY)
        key_id, nonce = self._keys[0], os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, value.encode(), label.encode())
        return _VERSION + key_id + nonce + sealed

    def open(self, sealed: bytes, *, label: str) -> str:
        """The value again.

        Raises:
            SecretsNotConfiguredError: the key that sealed it is not among ours, or the bytes or
                the label are not those it was sealed with.
        """
        cipher = self._ciphers.get(sealed[len(_VERSION) : _HEAD])
        nonce, body = sealed[_HEAD : _HEAD + _NONCE_BYTES], sealed[_HEAD + _NONCE_BYTES :]
        if cipher is None or not sealed.startswith(_VERSION):
            raise SecretsNotConfiguredError(
                "The secret was sealed with a key that is not in PERDURE_SECRETS_KEY any more; "
                "add that key behind a comma, or set the secret again."
            )
        try:
            return cipher.decrypt(nonce, body, label.encode()).decode()
        except (InvalidTag, ValueError):
            raise SecretsNotConfiguredError(
                "The stored secret can't be opened: its bytes were changed. Set it again."
            ) from None


def _key_id(key: str) -> bytes:
    """Which key sealed a value: says nothing about the key that its holder does not know."""
    return hashlib.sha256(b"perdure key id:" + key.encode()).digest()[:_KEY_ID_BYTES]
