"""Charts: readable SVG with a text alternative."""

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from reports import palette
from reports.charts import draw_charts
from reports.compose import MAX_COLUMNS
from reports.model import ReportContent
from tests.reports import examples
from tests.reports.conftest import ReportOf

SVG = "{http://www.w3.org/2000/svg}"
MARKS = ("model", "tools", "subtasks", "people", "cached", "bad")
BACKGROUNDS = ("surface", "sunken")


def draw(content: dict[str, Any], width: str = "100%") -> dict[str, ET.Element]:
    """The charts as XML."""
    made = draw_charts(ReportContent.model_validate(content))
    return {name: ET.fromstring(chart.draw(width)) for name, chart in made.items()}  # noqa: S314 - ours


def marks(svg: ET.Element, kind: str) -> list[ET.Element]:
    return [r for r in svg.iter(f"{SVG}rect") if f"fill-{kind}" in r.get("class", "").split()]


async def test_each_chart_has_a_text_alternative(report_of: ReportOf) -> None:
    found = draw(await report_of(examples.ordinary))
    assert list(found) == ["timeline", "cost-by-turn", "tokens-by-turn"]
    for name, svg in found.items():
        assert svg.get("role") == "img"
        assert svg.get("aria-labelledby") == f"{name}-name {name}-text"
        title, text = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
        assert title is not None
        assert text is not None
        assert (title.get("id"), text.get("id")) == (f"{name}-name", f"{name}-text")
    cost = found["cost-by-turn"].findtext(f"{SVG}desc")
    assert cost == "$0.0738 over 6 turns, the most in turn 1: $0.0123."
    timeline = found["timeline"].findtext(f"{SVG}desc") or ""
    assert "Claude: 7 steps, 1 failed" in timeline


async def test_there_is_a_mark_for_each_step(report_of: ReportOf) -> None:
    content = await report_of(examples.ordinary)
    found = draw(content)
    assert len(marks(found["timeline"], "model")) == 6
    assert len(marks(found["timeline"], "people")) == 1
    columns = marks(found["cost-by-turn"], "model")
    assert len(columns) == 6
    assert columns[0].findtext(f"{SVG}title") == "turn 1: $0.0123"
    assert len(marks(found["tokens-by-turn"], "cached")) == 6


async def test_all_marks_are_inside_the_chart(report_of: ReportOf) -> None:
    for svg in draw(await report_of(examples.endless)).values():
        height = float(svg.get("height", "0"))
        for rect in svg.iter(f"{SVG}rect"):
            if rect.get("width", "").endswith("%"):
                right = float(rect.get("x", "0%")[:-1]) + float(rect.get("width", "")[:-1])
                assert right <= 100.01
            assert float(rect.get("y", "0")) + float(rect.get("height", "0")) <= height + 0.01


async def test_many_turns_are_few_columns(report_of: ReportOf) -> None:
    content = await report_of(examples.endless)
    found = draw(content)
    columns = marks(found["cost-by-turn"], "model")
    assert 30 <= len(columns) <= MAX_COLUMNS
    assert columns[0].findtext(f"{SVG}title") == "turns 1 to 2: $0.0246"
    assert sum(use["cost_usd"] for use in content["spending"]) == pytest.approx(
        content["cost"]["total_usd"]
    )


async def test_an_empty_report_has_no_charts(report_of: ReportOf) -> None:
    assert draw(await report_of(examples.silent)) == {}


async def test_hostile_labels_stay_text(report_of: ReportOf) -> None:
    for svg in draw(await report_of(examples.hostile)).values():
        kinds = {element.tag.removeprefix(SVG) for element in svg.iter()}
        assert kinds <= {"svg", "title", "desc", "defs", "pattern", "g", "rect", "text", "tspan"}


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
    return sum(v * w for v, w in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


@pytest.mark.parametrize("shades", [palette.LIGHT, palette.DARK])
def test_marks_have_enough_contrast(shades: palette.Shades) -> None:
    for mark in MARKS:
        for background in BACKGROUNDS:
            dark, light = sorted([luminance(shades[mark]), luminance(shades[background])])
            assert (light + 0.05) / (dark + 0.05) >= 3, (mark, background)
