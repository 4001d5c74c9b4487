"""Builds the specs of tools that run in the worker."""

from collections.abc import Mapping
from typing import Any

from domain.tools.calls import ToolEffect, ToolSpec


def text_field(description: str, *, longest: int = 4096, shortest: int = 1) -> Mapping[str, Any]:
    """Return the schema of a text; the lengths are in characters."""
    return {
        "type": "string",
        "minLength": shortest,
        "maxLength": longest,
        "description": description,
    }


def whole_field(description: str, *, least: int = 1, most: int) -> Mapping[str, Any]:
    """Return the schema of a whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, "description": description}


def make_spec(
    name: str,
    effect: ToolEffect,
    description: str,
    properties: Mapping[str, Any],
    required: tuple[str, ...] = (),
) -> ToolSpec:
    """Return a tool whose input is an object of these properties and no others."""
    schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    return ToolSpec(name, description, schema, effect)
