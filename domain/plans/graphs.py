"""Graphs of work that depends on other work."""

from collections.abc import Collection, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from domain.errors import FieldProblem, InvalidInputError


def order_in_batches(
    dependencies: Mapping[str, Collection[str]], *, field: str
) -> Sequence[Sequence[str]]:
    """The keys in batches: each depends only on keys of earlier batches. The order is kept.

    Raises:
        InvalidInputError: `field` of the body has a cycle.
    """
    sorter = TopologicalSorter(dependencies)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = " → ".join(str(key) for key in error.args[1])
        hint = f"These depend on each other: {cycle}. Remove one of the dependencies."
        problem = FieldProblem(("body", field), hint, "cycle")
        raise InvalidInputError("The plan is invalid; see errors.", [problem]) from None
    positions = {key: position for position, key in enumerate(dependencies)}
    batches = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=positions.__getitem__)
        batches.append(ready)
        sorter.done(*ready)
    return batches
