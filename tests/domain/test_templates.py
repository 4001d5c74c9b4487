"""Placeholders, and texts that look like them."""

import pytest

from domain.templates import compute_rendered_length, names, render, unknown_expressions


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ name }}", "Ada"),
        ("{{name}}", "Ada"),
        ("{{\n name\t}}", "Ada"),
        ("{{{name}}}", "{Ada}"),
        ('{"a": {"b": "{{ name }}"}}', '{"a": {"b": "Ada"}}'),
        ("{ name } {name} {{ }} {{ a b }} {{ a.b }}", "{ name } {name} {{ }} {{ a b }} {{ a.b }}"),
        ("{{ user-name }} {{ 1 }}", "Grace one"),
        ("{{ हिन्दी }}", "नमस्ते"),
        ("{{ cafe\N{COMBINING ACUTE ACCENT} }} {{ caf\u00e9 }}", "noir noir"),
        ("{{ missing }}", "{{ missing }}"),
        ("{{ n }} {{ yes }} {{ list }} {{ none }}", "3 true [1, {}] null"),
        ("{{ ümlaut }}", "ö"),
    ],
)
def test_render(template: str, expected: str) -> None:
    variables = {"name": "Ada", "n": 3, "yes": True, "list": [1, {}], "none": None, "ümlaut": "ö"}
    variables |= {"user-name": "Grace", "1": "one", "हिन्दी": "नमस्ते"}
    variables |= {"cafe\N{COMBINING ACUTE ACCENT}": "noir"}
    assert compute_rendered_length(template, variables) == len(expected)
    assert render(template, variables).text == expected


def test_each_missing_name_is_listed_once_in_order() -> None:
    rendered = render("{{ b }} {{ a }} {{ b }} {{ c }}", {"c": 1})
    assert rendered.missing == ("b", "a")
    assert names("{{ b }} {{ a }} {{ b }}") == ("b", "a")


def test_a_long_template_takes_no_time() -> None:
    assert render("{{ " * 200_000, {}).missing == ()


@pytest.mark.parametrize(
    "expression",
    [
        *("{{ user.name }}", "{{ name | upper }}", "{{ user name }}", "{{ a[0] }}", "{{ 'x' }}"),
        *("{{x+1}}", "{{ f(x) }}", '{{ "x" }}', "{{ name, other }}", "{{ if x }}"),
    ],
)
def test_other_template_languages_are_noticed(expression: str) -> None:
    assert unknown_expressions(f"{{{{ known }}}} {expression} {expression}") == (expression,)


@pytest.mark.parametrize(
    "text",
    [
        *("{{ name }}", "{{ user-name }}", "{{ }}", "{{}}", '{"a": {"b": {"c": 1}}}', "{{1+1}}"),
        *('{{"a": 1}}', "{{\nlines\nof code\n}}", "{ name }", "\\frac{{a}}{{b}}", "${{ "),
    ],
)
def test_other_braces_are_not(text: str) -> None:
    assert unknown_expressions(text) == ()
