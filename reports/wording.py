"""Numbers and moments as people read them. English, one style in every format."""

from datetime import datetime
from decimal import Decimal

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_UNITS = ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min"), (_MINUTE, "min", _SECOND, "s"))
_KILO = 1_000

_ROUNDS_TO_A_MINUTE = 59_950
_ROUNDS_TO_A_DOLLAR = Decimal("0.99995")

UNKNOWN = "\N{EN DASH}"
"""Where nobody knows."""


def duration(milliseconds: float | None) -> str:
    """`340 ms`, `12.3 s`, `3 min 4 s`, `2 h 5 min`, `3 d 4 h`; a dash when nobody knows."""
    if milliseconds is None:
        return UNKNOWN
    milliseconds = round(milliseconds)
    if milliseconds < _SECOND:
        return f"{milliseconds} ms"
    if milliseconds < _ROUNDS_TO_A_MINUTE:
        return f"{milliseconds / _SECOND:.1f} s"
    milliseconds = max(milliseconds, _MINUTE)
    unit, name, part, part_name = next(u for u in _UNITS if milliseconds >= u[0])
    whole, rest = divmod(milliseconds, unit)
    parts = rest // part
    return f"{whole} {name} {parts} {part_name}" if parts else f"{whole} {name}"


def money(usd: Decimal | None) -> str:
    """Cents from a dollar on, four decimals below, six where four would say nothing."""
    if usd is None:
        return UNKNOWN
    if usd == 0 or usd >= _ROUNDS_TO_A_DOLLAR:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= Decimal("0.0001") else f"${usd:.6f}"


def number(value: int) -> str:
    """With commas at thousands."""
    return f"{value:,}"


def size(octets: int) -> str:
    """`812 B`, `4.1 kB`, `2.3 MB`."""
    amount = float(octets)
    for unit in ("B", "kB", "MB"):
        if amount < _KILO:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= _KILO
    return f"{amount:.1f} GB"


def moment(at: datetime) -> str:
    """`21 Nov 2026, 04:16:56 UTC`; stored times are UTC."""
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 call`, `2 calls`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def spoken(word: str) -> str:
    """A code as words: `max_turns` is `max turns`."""
    return word.replace("_", " ")
