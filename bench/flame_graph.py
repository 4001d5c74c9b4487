"""Flame graphs: an SVG in which the width of each function is its share of the CPU."""

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape

Stacks = Counter[tuple[str, ...]]
"""Samples by stack, its outermost function first."""

WIDTH = 1200
ROW = 15
CHARACTER = 6.2
"""The width of a character of the font, in pixels."""

SMALLEST = 0.003
"""The share of the samples below which a function is left out, so that the file stays small."""

STYLE = "text{font:10px monospace;pointer-events:none}rect{stroke:#fff;stroke-width:.4}"


@dataclass(slots=True)
class Frame:
    """A function, when it is called by the functions below it."""

    name: str
    samples: int = 0
    calls: dict[str, "Frame"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Box:
    frame: Frame
    depth: int
    left: float
    """As a share of the width."""
    share: float


def render(stacks: Stacks, title: str) -> str:
    """The SVG; outermost functions are at the bottom."""
    root = _merge(stacks)
    boxes = list(_place(root, 0, 0.0, max(root.samples, 1)))
    height = (max((box.depth for box in boxes), default=0) + 3) * ROW
    size = f'width="{WIDTH}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>',
        f'<text x="4" y="{ROW - 3}">{escape(title)}</text>',
        *(_draw(box, height) for box in boxes),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _merge(stacks: Stacks) -> Frame:
    root = Frame("all")
    for stack, samples in stacks.items():
        frame = root
        frame.samples += samples
        for name in stack:
            frame = frame.calls.setdefault(name, Frame(name))
            frame.samples += samples
    return root


def _place(frame: Frame, depth: int, left: float, total: int) -> Iterator[_Box]:
    share = frame.samples / total
    if share < SMALLEST:
        return
    yield _Box(frame, depth, left, share)
    for name in sorted(frame.calls):
        called = frame.calls[name]
        yield from _place(called, depth + 1, left, total)
        left += called.samples / total


def _draw(box: _Box, height: int) -> str:
    name, x, width = box.frame.name, box.left * WIDTH, box.share * WIDTH
    y = height - (box.depth + 2) * ROW
    hue = zlib.crc32(name.encode()) % 50  # a function has the same colour in all graphs
    title = f"<title>{escape(name)}: {box.share:.1%}</title>"
    place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{ROW}"'
    drawn = f'<g>{title}<rect {place} fill="hsl({hue},80%,70%)"/>'
    if (room := int((width - 4) / CHARACTER)) >= 3:
        drawn += f'<text x="{x + 2:.1f}" y="{y + ROW - 4}">{escape(name[:room])}</text>'
    return f"{drawn}</g>"
