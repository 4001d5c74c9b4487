"""The systems that a full run measures beside ours, the hand-written workflow and the loop."""

from collections.abc import Sequence

from bench.scale import Scale
from bench.systems.own_process import dbos, langgraph
from bench.systems.served_peers import langgraph_dev, restate
from bench.systems.system import Start
from bench.systems.temporal_peers import pydantic_ai

OTHERS: Sequence[Start] = (restate, dbos, pydantic_ai, langgraph, langgraph_dev)


def others(scale: Scale) -> Sequence[Start]:
    """All of them, or none for a first look."""
    return OTHERS if scale.all_peers else ()
