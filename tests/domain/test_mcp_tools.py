"""Names and pins of tools of MCP servers."""

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mcp.tools import MAX_DESCRIPTION, RemoteTool, ServerTools, pin, read_pins, tool_names
from domain.rules.permissions import Permissions
from domain.tools.calls import ToolEffect

SCHEMA: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}}
ALL = Permissions(allowed=["mcp__*"])
NAMES = st.lists(st.text(max_size=150), unique=True, max_size=8)


def tool(name: str = "search", **changed: Any) -> RemoteTool:
    return replace(RemoteTool(name, "Search.", SCHEMA), **changed)


@given(names=NAMES)
def test_names_are_unique_valid_and_independent_of_their_order(names: list[str]) -> None:
    found = dict(zip(names, tool_names("shop", names), strict=True))
    assert len(set(found.values())) == len(names)
    assert all(re.fullmatch(r"mcp__shop__[A-Za-z0-9_-]*", full) for full in found.values())
    assert all(len(full) <= 128 for full in found.values())
    turned = list(reversed(names))
    assert dict(zip(turned, tool_names("shop", turned), strict=True)) == found


def test_valid_names_stay_as_they_are() -> None:
    assert tool_names("shop", ["a-b", "a.b"]) == ["mcp__shop__a-b", "mcp__shop__a_b_2e7336dc"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"input_schema": {"type": "string"}}, "not of the type object"),
        ({"input_schema": {}}, "not of the type object"),
        ({"input_schema": {**SCHEMA, "description": "x" * 70_000}}, "more than 64 KiB"),
        ({"input_schema": {"type": "object", "properties": {"a b": {}}}}, "argument 'a b'"),
        ({"input_schema": {"type": "object", "properties": []}}, "is invalid"),
    ],
)
def test_a_tool_that_the_api_would_refuse_is_left_out(changed: dict[str, Any], reason: str) -> None:
    pins = pin([ServerTools("shop", [tool(**changed), tool("other")])], ALL)
    assert [pinned.remote_name for pinned in pins.tools] == ["other"]
    assert reason in pins.warnings[0]


def test_a_name_that_is_listed_twice_counts_once() -> None:
    pins = pin([ServerTools("shop", [tool(), tool(description="Another.")])], ALL)
    assert [definition["description"] for definition in pins.definitions] == ["Search."]
    assert "its name is used twice" in pins.warnings[0]


def test_combinators_are_kept_from_the_model_and_not_from_the_check() -> None:
    schema = {**SCHEMA, "anyOf": [{"required": ["q"]}]}
    pins = pin([ServerTools("shop", [tool(input_schema=schema)])], ALL)
    assert pins.definitions[0]["input_schema"] == SCHEMA
    [stored] = read_pins(pins.as_json()).values()
    assert stored == pins.tools[0]
    assert stored.input_schema == schema


def test_a_long_description_is_truncated() -> None:
    pins = pin([ServerTools("shop", [tool(description="x" * 5000)])], ALL)
    assert len(pins.definitions[0]["description"]) == MAX_DESCRIPTION


@pytest.mark.parametrize("is_trusted", [False, True])
def test_hints_count_only_with_trust(*, is_trusted: bool) -> None:
    tools = [tool("a", is_read_only=True), tool("b", is_idempotent=True), tool("c")]
    pins = pin([ServerTools("shop", tools, is_trusted=is_trusted)], ALL)
    trusted = [ToolEffect.READ_ONLY, ToolEffect.IDEMPOTENT, ToolEffect.EXTERNAL]
    expected = trusted if is_trusted else [ToolEffect.EXTERNAL] * 3
    assert [pinned.effect for pinned in pins.tools] == expected


def test_another_hint_is_another_tool() -> None:
    assert tool().sha256 != tool(is_read_only=True).sha256
    assert tool().sha256 == tool().sha256
