"""Mints HS256 tokens for the gateway.

Without the JWT library, which would load a cryptography library into the memory of the supervisor:
minting is one HMAC. The gateway uses that library to check tokens, where mistakes are dangerous.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


def mint(secret: str, *, user: str, role: str, lives: timedelta) -> str:
    """A token for `user` (its `sub`) with `role` that is valid for `lives` from now."""
    now = datetime.now(UTC)
    claims = {
        "sub": user,
        "role": role,
        "iat": int(now.timestamp()),
        "exp": int((now + lives).timestamp()),
    }
    signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_encode_bytes(signature)}"


def _encode(part: Mapping[str, Any]) -> str:
    return _encode_bytes(json.dumps(part, separators=(",", ":")).encode())


def _encode_bytes(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
