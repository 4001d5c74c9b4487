"""The public keys of an identity provider (JWKS, RFC 7517), with caching and rotation."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx2
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from domain.errors import ServiceUnavailableError, UnauthenticatedError

log = structlog.get_logger(__name__)

ALGORITHMS = frozenset({"RS256", "ES256"})

LIFETIME_SECONDS = 300.0
"""A key that the provider removed is refused after this time (the default of PyJWT)."""

FETCH_INTERVAL_SECONDS = 5.0
"""Tokens with unknown keys must not cause many requests to the provider. Because an attempt is
allowed again so soon, they cannot delay a rotation for long either (chosen)."""

FETCH_SECONDS = 5.0
"""Longer than a healthy server needs, shorter than client timeouts (chosen)."""

LARGEST_SET_BYTES = 1024 * 1024
"""Real key sets have a few KB (chosen)."""

RSA_BITS = 2048
"""Of the smallest key for RS256 (RFC 7518, section 3.3)."""

TRIED_KEYS = 10
"""Keys of one set that may fit the same token: real sets have two or three (chosen)."""


class KeySet:
    """The keys at one URL. While it is unavailable, the last keys remain valid."""

    def __init__(self, url: str) -> None:
        """Fetches the keys when the first token arrives."""
        self._url = url
        self._client = httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False)
        self._keys: Sequence[jwt.PyJWK] = ()
        self._is_current = False
        """Whether the last attempt to fetch the set succeeded."""
        self._fetched_at = -LIFETIME_SECONDS
        self._tried_at = -FETCH_INTERVAL_SECONDS
        self._fetching = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close connections and cancel a current fetch."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        await self._client.aclose()

    async def find(self, kid: object, algorithm: str) -> Sequence[jwt.PyJWK]:
        """The keys with this id, at least one; for a token without an id, all of the algorithm.

        Raises:
            UnauthenticatedError: there is no such key.
            ServiceUnavailableError: the current keys could not be fetched.
        """
        seen_at = self._fetched_at
        found = self._pick(kid, algorithm)
        if not found:
            await self._fetch(since=seen_at)
            found = self._pick(kid, algorithm)
        elif time.monotonic() - seen_at > LIFETIME_SECONDS and self._is_idle():
            self._refreshing = asyncio.create_task(self._fetch(since=seen_at))
        if found:
            return found
        if not self._is_current:
            raise ServiceUnavailableError(
                "The signing keys of the identity provider are unavailable; retry later."
            )
        raise UnauthenticatedError(
            "The token is signed with an unknown key; request a new token from the issuer."
        )

    def _pick(self, kid: object, algorithm: str) -> Sequence[jwt.PyJWK]:
        alike = [key for key in self._keys if key.algorithm_name == algorithm]
        return [key for key in alike if kid is None or key.key_id == kid][:TRIED_KEYS]

    def _is_idle(self) -> bool:
        return self._refreshing is None or self._refreshing.done()

    async def _fetch(self, *, since: float) -> None:
        """Fetch the set, unless another request did or the last attempt was a moment ago."""
        async with self._fetching:
            now = time.monotonic()
            if self._fetched_at > since or now - self._tried_at < FETCH_INTERVAL_SECONDS:
                return
            self._tried_at = now
            self._is_current = False
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    content = await self._download()
                self._keys = read_keys(content)
            except (httpx2.HTTPError, ValueError, TimeoutError, RecursionError) as error:
                log.warning("key_set.not_fetched", url=self._url, error=repr(error))
            else:
                self._fetched_at = time.monotonic()
                self._is_current = True

    async def _download(self) -> bytes:
        content = b""
        async with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_SET_BYTES:
                    raise ValueError("the key set is too large")
        return content


def read_keys(content: bytes) -> Sequence[jwt.PyJWK]:
    """The keys of a set that can verify our tokens; all others are skipped.

    Raises:
        ValueError: it is not a key set, or it has no usable key.
        RecursionError: it is nested too deeply.
    """
    document = json.loads(content)
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise ValueError("the document is not a key set")  # noqa: TRY004 - the content is wrong, not a type
    found = [key for key in map(_read_key, members) if key is not None]
    if not found:
        raise ValueError("the key set contains no usable key")
    return found


def _read_key(member: Any) -> jwt.PyJWK | None:
    try:
        key = jwt.PyJWK(member)
    except Exception as error:  # noqa: BLE001 - PyJWT raises many kinds for members it cannot read
        log.info("key_set.key_skipped", error=type(error).__name__)
        return None
    is_strong = not isinstance(key.key, RSAPublicKey) or key.key.key_size >= RSA_BITS
    is_ours = key.algorithm_name in ALGORITHMS and key.public_key_use in (None, "sig")
    return key if is_ours and is_strong else None
