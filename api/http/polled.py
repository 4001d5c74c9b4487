"""The JSON of what clients poll: rendered again only when it has changed."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from api.http.responses import Rendered, render

KEPT = 256
"""Resources of a gateway (chosen)."""

LONGEST_KEPT = 32_768
"""Bytes of a rendered resource; with those of `KEPT`, they take 16 MB at most (chosen)."""

Fields = Mapping[str, Any]


class PolledResources:
    """The resources of one model that were rendered last."""

    def __init__(self) -> None:
        """Keeps none yet."""
        self._kept: dict[UUID, tuple[Fields, Rendered]] = {}

    def render(self, model: type[BaseModel], fields: Fields) -> Rendered:
        """The resource `fields["id"]`; its fields as this caller sees them."""
        kept = self._kept.pop(fields["id"], None)
        if kept is None or kept[0] != fields:
            kept = fields, render(model(**fields))
        if len(kept[1].content) <= LONGEST_KEPT:
            self._kept[fields["id"]] = kept
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return kept[1]
