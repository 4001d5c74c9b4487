"""The JSON of what clients poll: rendered again only when it has changed."""

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel

from api.http.responses import etag, to_json

KEPT = 256
"""Resources of a gateway (chosen)."""

LONGEST_KEPT = 32_768
"""Bytes of a rendered resource; with those of `KEPT`, they take 16 MB at most (chosen)."""


class RenderedResource(NamedTuple):
    """A resource as JSON, with its `ETag`."""

    content: bytes
    tag: str


class PolledResources:
    """The resources of one model that were rendered last."""

    def __init__(self) -> None:
        """Keeps none yet."""
        self._kept: dict[UUID, tuple[object, RenderedResource]] = {}

    def render(self, key: UUID, state: object, make: Callable[[], BaseModel]) -> RenderedResource:
        """The resource `key`. `state` is all that `make` makes it from, with who reads it."""
        kept = self._kept.pop(key, None)
        if kept is None or kept[0] != state:
            content = to_json(make())
            kept = state, RenderedResource(content, etag(content))
        if len(kept[1].content) <= LONGEST_KEPT:
            self._kept[key] = kept
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return kept[1]
