from collections.abc import Mapping

import pytest

from domain.errors import InvalidInputError
from domain.executions.states import ExecutionStatus
from domain.plans.plan import (
    MOST_DEPENDENCIES,
    PlanGraph,
    StepNode,
    check_graph,
    count_progress,
    find_action,
)

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def nodes(dependencies: Mapping[str, tuple[str, ...]], **prompts: str) -> list[StepNode]:
    return [StepNode(key, needs, prompts.get(key, "Work.")) for key, needs in dependencies.items()]


def problems_of(steps: list[StepNode]) -> list[tuple[tuple[str | int, ...], str]]:
    with pytest.raises(InvalidInputError) as refusal:
        check_graph(steps)
    return [(problem.loc[1:], problem.type) for problem in refusal.value.problems]


def test_a_graph_has_batches_and_ancestors() -> None:
    graph = check_graph(nodes(DIAMOND))
    assert graph.batches == [["a"], ["b", "c"], ["d"]]
    assert graph.batch_of == {"a": 0, "b": 1, "c": 1, "d": 2}
    assert graph.max_parallelism == 2
    assert graph.ancestors["d"] == {"a", "b", "c"}
    assert graph.dependents_of(frozenset({"b"})) == {"d"}
    assert graph.dependents_of(frozenset({"a", "d"})) == {"b", "c"}


def test_the_critical_path_is_the_chain_that_takes_longest() -> None:
    graph = PlanGraph({**DIAMOND, "e": ("c",), "f": ("e",)})
    assert graph.find_critical_path({}) == ("a", "c", "e", "f")
    assert graph.find_critical_path({"a": 1, "b": 60, "c": 1, "e": 2}) == ("a", "b", "d")


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (nodes({"a": ("b",), "b": ("a",)}), (("steps",), "cycle")),
        (nodes({"a": ("a",)}), (("steps", 0, "depends_on", 0), "cycle")),
        (nodes({"fetch": (), "b": ("fetsh",)}), (("steps", 1, "depends_on", 0), "unknown_step")),
        ([*nodes({"a": ()}), *nodes({"a": ()})], (("steps", 1, "key"), "duplicate_key")),
        (
            nodes({"a": (), "b": ()}, b="Use {{ steps.a.result }}."),
            (("steps", 1, "prompt"), "not_an_ancestor"),
        ),
        (nodes({"a": ()}, a="{{steps.z.result}}"), (("steps", 0, "prompt"), "unknown_step")),
        (nodes({"a": ()}, a="{{ steps.a }}"), (("steps", 0, "prompt"), "unknown_placeholder")),
    ],
)
def test_an_invalid_graph_is_refused_at_its_place(
    steps: list[StepNode], problem: tuple[tuple[str | int, ...], str]
) -> None:
    assert problems_of(steps) == [problem]


def test_a_step_may_use_the_result_of_an_ancestor() -> None:
    chain = {"a": (), "b": ("a",), "c": ("b",)}
    assert check_graph(nodes(chain, c="{{ steps.a.result }} and {{ name }} { }")).batches


def test_dependencies_are_limited() -> None:
    wide = {f"s{n}": () for n in range(100)}
    many = {f"t{n}": tuple(wide) for n in range(MOST_DEPENDENCIES // 100 + 1)}
    assert problems_of(nodes({**wide, **many})) == [(("steps",), "too_long")]


@pytest.mark.parametrize(
    ("statuses", "action"),
    [
        ([None, None], "start"),
        ([ExecutionStatus.COMPLETED, ExecutionStatus.FAILED], "retry"),
        ([ExecutionStatus.COMPLETED, None], "retry"),
        ([ExecutionStatus.COMPLETED, ExecutionStatus.COMPLETED], None),
        ([ExecutionStatus.FAILED, ExecutionStatus.RUNNING], None),
    ],
)
def test_a_plan_that_has_ended_offers_what_can_be_done(
    statuses: list[ExecutionStatus | None], action: str | None
) -> None:
    assert find_action(statuses, is_active=True, approval_required=False) == "cancel"
    assert find_action(statuses, is_active=False, approval_required=False) == action


def test_steps_without_an_approval_can_not_be_retried() -> None:
    statuses = [ExecutionStatus.COMPLETED, None]
    assert find_action(statuses, is_active=False, approval_required=True) is None


def test_progress_is_complete_only_if_all_steps_are() -> None:
    status = ExecutionStatus
    progress = count_progress([status.COMPLETED] * 299 + [status.RUNNING])
    assert (progress.percent, progress.active) == (99, 1)
    progress = count_progress([None, status.BLOCKED, status.FAILED, status.CANCELLED])
    assert (progress.waiting, progress.failed, progress.cancelled) == (2, 1, 1)
