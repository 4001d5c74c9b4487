"""Mints HS256 tokens for the gateway.

Without the JWT library, which would load a cryptography library into the memory of the supervisor:
minting is one HMAC. The gateway uses that library to check tokens, where mistakes are dangerous.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.secrets import to_url_text


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
    return f"{signed}.{to_url_text(signature)}"


def _encode(part: Mapping[str, Any]) -> str:
    return to_url_text(json.dumps(part, separators=(",", ":")).encode())
