"""The public keys of an identity provider (JWKS, RFC 7517), with caching and rotation."""

import asyncio
import json
import time

import httpx2
import jwt
import structlog
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from domain.errors import ServiceUnavailableError, UnauthenticatedError

log = structlog.get_logger(__name__)

LIFETIME_SECONDS = 300.0
"""A key that the provider removed is refused after this time (the default of PyJWT)."""

FETCHES: RateLimitItem = parse("6/minute")
"""Tokens with unknown keys must not cause many requests to the provider (chosen)."""

FETCH_SECONDS = 5.0
"""Longer than a healthy server needs, shorter than client timeouts (chosen)."""

LARGEST_SET_BYTES = 1024 * 1024
"""Real key sets have a few KB (chosen)."""


class KeySet:
    """The keys at one URL. While it is unavailable, the last keys remain valid."""

    def __init__(self, url: str) -> None:
        """Fetches the keys when the first token arrives."""
        self._url = url
        self._client = httpx2.AsyncClient(timeout=FETCH_SECONDS, follow_redirects=False)
        self._keys: list[jwt.PyJWK] = []
        self._fetched_at = -LIFETIME_SECONDS
        self._tries = MovingWindowRateLimiter(MemoryStorage())
        self._fetching = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    async def close(self) -> None:
        """Close connections and cancel a current fetch."""
        if self._refreshing is not None:
            self._refreshing.cancel()
        await self._client.aclose()

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK:
        """The key with this id; without an id, the only key for the algorithm.

        Raises:
            UnauthenticatedError: the key does not exist.
            ServiceUnavailableError: no keys could be fetched yet.
        """
        seen_at = self._fetched_at
        key = self._pick(kid, algorithm)
        if key is None:
            await self._fetch(since=seen_at)
            key = self._pick(kid, algorithm)
        elif time.monotonic() - seen_at > LIFETIME_SECONDS and self._is_idle():
            self._refreshing = asyncio.create_task(self._fetch(since=seen_at))
        if key is not None:
            return key
        if not self._keys:
            raise ServiceUnavailableError(
                "The signing keys of the identity provider are unavailable; retry later."
            )
        raise UnauthenticatedError(
            "The token is signed with an unknown key; request a new token from the issuer."
        )

    def _pick(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        alike = [key for key in self._keys if key.algorithm_name == algorithm]
        if kid is None:
            return alike[0] if len(alike) == 1 else None
        return next((key for key in alike if key.key_id == kid), None)

    def _is_idle(self) -> bool:
        return self._refreshing is None or self._refreshing.done()

    async def _fetch(self, *, since: float) -> None:
        """Fetch the set, unless another request did or the limit of fetches is reached."""
        async with self._fetching:
            if self._fetched_at > since or not self._tries.hit(FETCHES):
                return
            try:
                async with asyncio.timeout(FETCH_SECONDS):
                    found = await self._download()
                self._keys = [key for key in found if key.public_key_use in {None, "sig"}]
                self._fetched_at = time.monotonic()
            except (httpx2.HTTPError, jwt.PyJWTError, ValueError, TimeoutError) as error:
                log.warning("key_set.not_fetched", url=self._url, error=repr(error))

    async def _download(self) -> list[jwt.PyJWK]:
        """Download the set; raises an error if the server or the content is not usable."""
        content = b""
        async with self._client.stream("GET", self._url) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > LARGEST_SET_BYTES:
                    raise ValueError("the key set is too large")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("the key set is not an object")  # noqa: TRY004 - the content is wrong, not a type
        return jwt.PyJWKSet.from_dict(document).keys
