"""What some tools need: a network for the web tools, and namespaces for the memory tools."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from domain.memory.entries import SET_MEMORY
from domain.rules.entries import MEMORY_TOOLS, WEB_TOOLS
from domain.web.calls import SET_NETWORK

ToolResource = Literal["network", "memory"]
"""What a task gives to its tools; also the name of its field."""


@dataclass(frozen=True, slots=True)
class ToolRequirement:
    """Tools that are not offered without a resource, and how a task gets it."""

    tools: frozenset[str]
    resource: ToolResource
    remedy: str


_REQUIREMENTS = (
    ToolRequirement(WEB_TOOLS, "network", SET_NETWORK),
    ToolRequirement(MEMORY_TOOLS, "memory", SET_MEMORY),
)


def list_given_resources(*, network: object, memory: object) -> Collection[ToolResource]:
    """Return the resources that are not empty."""
    found: Mapping[ToolResource, object] = {"network": network, "memory": memory}
    return [resource for resource, value in found.items() if value]


def unmet_requirement(tool: str, given: Collection[ToolResource]) -> ToolRequirement | None:
    """Return what a tool needs and does not have, or None; `given` are the resources there are."""
    return next(
        (need for need in _REQUIREMENTS if tool in need.tools and need.resource not in given), None
    )
