"""Minting HS256 tokens for the gateway (contract.md, section 1).

By hand, since it is one HMAC: the JWT library brings a cryptography library into the memory of the
supervisor, which must stay small. Checking tokens, where mistakes are dangerous, is the gateway's
and done by that library.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any


def mint(secret: str, *, user: str, role: str, lives: timedelta) -> str:
    """A token for `user` (its `sub`) with `role` that holds for `lives` from now."""
    now = datetime.now(UTC)
    claims = {
        "sub": user,
        "role": role,
        "iat": int(now.timestamp()),
        "exp": int((now + lives).timestamp()),
    }
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
    signature = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{_base64url(signature)}"


def _encoded(part: Mapping[str, Any]) -> str:
    return _base64url(json.dumps(part, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
