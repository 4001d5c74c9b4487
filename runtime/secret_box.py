"""Encrypt secrets before they are stored, and decrypt them where they are used.

AES-256-GCM (NIST SP 800-38D) from the library `cryptography`. Each value is bound to a label that
names its row, so that its bytes cannot be decrypted in another row.
"""

import hashlib
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import SecretsNotConfiguredError
from runtime.settings import Settings

_NONCE_BYTES = (
    12  # the size that GCM recommends; random, so for at most 2^32 values per key (SP 800-38D, 8.3)
)
_KEY_ID_BYTES = 4
_VERSION = b"\x01"
_HEAD = len(_VERSION) + _KEY_ID_BYTES

NO_KEY = (
    "This server can't store secrets. Ask the operator to set PERDURE_SECRETS_KEY to 32 random "
    "characters or more (`openssl rand -base64 32`)."
)


class SecretBox:
    """Encrypts with the first key, decrypts with the key that encrypted."""

    def __init__(self, keys: str | None) -> None:
        """`keys` is the setting PERDURE_SECRETS_KEY: one or several keys, separated by commas."""
        given = [key.strip() for key in (keys or "").split(",") if key.strip()]
        self._keys = [_key_id(key) for key in given]
        self._ciphers: Mapping[bytes, AESGCM] = {
            _key_id(key): AESGCM(hashlib.sha256(key.encode()).digest()) for key in given
        }

    @property
    def is_ready(self) -> bool:
        """Return whether there is a key."""
        return bool(self._keys)

    def seal(self, value: str, *, label: str) -> bytes:
        """Encrypt a value. To decrypt it, the same key and label are needed.

        Raises:
            SecretsNotConfiguredError: there is no key.
        """
        if not self._keys:
            raise SecretsNotConfiguredError(NO_KEY)
        key_id, nonce = self._keys[0], os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[key_id].encrypt(nonce, value.encode(), label.encode())
        return _VERSION + key_id + nonce + sealed

    def open(self, sealed: bytes, *, label: str) -> str:
        """Decrypt a value.

        Raises:
            SecretsNotConfiguredError: the key is not among ours, or the bytes or the label are
                not the original ones.
        """
        cipher = self._ciphers.get(sealed[len(_VERSION) : _HEAD])
        nonce, body = sealed[_HEAD : _HEAD + _NONCE_BYTES], sealed[_HEAD + _NONCE_BYTES :]
        if cipher is None or not sealed.startswith(_VERSION):
            raise SecretsNotConfiguredError(
                "The key that encrypted this secret is not in PERDURE_SECRETS_KEY. Append that key "
                "after a comma, or set the secret again."
            )
        try:
            return cipher.decrypt(nonce, body, label.encode()).decode()
        except (InvalidTag, ValueError):
            raise SecretsNotConfiguredError(
                "The stored secret can't be decrypted because its bytes were changed. Set it again."
            ) from None


def make_token_box(settings: Settings) -> SecretBox:
    """What encrypts cookies and links: with the key for secrets, or one from the key for tokens."""
    keys, secret = settings.secrets_key, settings.jwt_secret
    if keys is not None and keys.get_secret_value():
        return SecretBox(keys.get_secret_value())
    if secret is None:
        return SecretBox(None)
    text = f"perdure browser sessions:{secret.get_secret_value()}"
    return SecretBox(hashlib.sha256(text.encode()).hexdigest())


def _key_id(key: str) -> bytes:
    """Return an id of a key, from which the key cannot be derived."""
    return hashlib.sha256(b"perdure key id:" + key.encode()).digest()[:_KEY_ID_BYTES]
