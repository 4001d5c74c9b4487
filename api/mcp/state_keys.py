"""The keys that seal `requestState`, derived from keys that all gateways share."""

import os
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from runtime.settings import Settings

KEY_BYTES = 32

_PURPOSE = b"perdure: request state of the MCP server"


def derive_state_keys(settings: Settings) -> Sequence[bytes]:
    """The keys, newest first: from the keys of secrets, otherwise from the secret of tokens.

    Without either, a key of this process: a call that asks a person must then be repeated at the
    same gateway, before it restarts.
    """
    if settings.secrets_key is not None and settings.secrets_key.get_secret_value():
        given = settings.secrets_key.get_secret_value().split(",")
        secrets = [key.strip().encode() for key in given if key.strip()]
    elif settings.jwt_secret is not None:
        secrets = [settings.jwt_secret.get_secret_value().encode()]
    else:
        secrets = [os.urandom(KEY_BYTES)]
    return [_derive(secret) for secret in dict.fromkeys(secrets)]


def _derive(secret: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=_PURPOSE).derive(secret)
