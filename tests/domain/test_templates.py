"""Placeholders as contract.md, section 2 has them."""

import pytest

from domain.templates import names, render


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ name }}", "Ada"),
        ("{{name}}", "Ada"),
        ("{{\n name\t}}", "Ada"),
        ("{{{name}}}", "{Ada}"),
        ('{"a": {"b": "{{ name }}"}}', '{"a": {"b": "Ada"}}'),
        ("{ name } {name} {{ }} {{ a b }} {{ a-b }}", "{ name } {name} {{ }} {{ a b }} {{ a-b }}"),
        ("{{ missing }}", "{{ missing }}"),
        ("{{ n }} {{ yes }} {{ list }} {{ none }}", "3 true [1, {}] null"),
        ("{{ ümlaut }}", "ö"),
    ],
)
def test_render(template: str, expected: str) -> None:
    variables = {"name": "Ada", "n": 3, "yes": True, "list": [1, {}], "none": None, "ümlaut": "ö"}
    assert render(template, variables).text == expected


def test_each_missing_name_is_listed_once_in_order() -> None:
    rendered = render("{{ b }} {{ a }} {{ b }} {{ c }}", {"c": 1})
    assert rendered.missing == ("b", "a")
    assert names("{{ b }} {{ a }} {{ b }}") == ("b", "a")


def test_a_long_template_takes_no_time() -> None:
    assert render("{{ " * 200_000, {}).missing == ()
