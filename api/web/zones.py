"""Time zones of browsers."""

from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=600)
def find_zone(name: str) -> ZoneInfo:
    """The time zone with this name, which a browser sent; UTC if there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return ZoneInfo("UTC")
