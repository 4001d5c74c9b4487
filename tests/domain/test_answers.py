"""Which answers fit: nothing but a decision decides."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.people.answers import Asked, check_answer, check_default, read_default
from domain.people.requests import DECISIONS, QUESTIONS, RequestKind
from domain.rules.permissions import Permissions

FORBIDDEN = Permissions(allowed=["bash"], ask=["bash"], disallowed=["bash(rm *)"])
APPROVAL = Asked(RequestKind.APPROVAL, tool_name="bash", permissions=FORBIDDEN)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NO_DECISION = [
    None, "no", "deny", "approve", False, True, 0, 1, "", ["deny"], [], {}, {"answer": "no"},
    {"approved": True}, {"decision": "nope"}, {"decision": "DENY"}, {"decision": "Approve"},
    {"decision": None}, {"decision": True}, {"decision": ["approve"]}, {"values": "approve"},
    {"values": {"decision": "approve"}}, {"message": "approve"}, {"decision": "edit"},
    {"decision": "edit", "input": None}, {"decision": "edit", "input": "ls"},
    {"decision": "edit", "input": {"command": "rm x"}}, {"input": {"command": "ls"}},
    {"decision": "approve", "input": {"command": "ls"}}, {"decision": "approve", "extra": 1},
    {"decision": "happened"}, {"decision": "not_happened"}, {"decision": "finish"},
]  # fmt: skip


def fits(asked: Asked, default: Any) -> bool:
    return not check_default(asked, default).problems


@pytest.mark.parametrize("default", NO_DECISION)
def test_what_is_no_decision_approves_nothing(default: Any) -> None:
    assert not fits(APPROVAL, default)


@pytest.mark.parametrize(
    "default",
    [
        {"decision": "approve"},
        {"decision": "approve", "message": "By default."},
        {"decision": "deny"},
        {"decision": "edit", "input": {"command": "ls"}},
    ],
)
def test_decisions_fit_an_approval(default: Any) -> None:
    assert fits(APPROVAL, default)


@given(JSON)
def test_no_other_value_is_read_as_approval(default: Any) -> None:
    is_decision = isinstance(default, dict) and default.get("decision") in ("approve", "deny")
    assert is_decision or not fits(APPROVAL, default)


@pytest.mark.parametrize("kind", RequestKind)
def test_no_default_means_that_a_call_did_not_happen(kind: RequestKind) -> None:
    for default in ({"decision": "not_happened"}, {"decision": "not_happened", "values": "x"}):
        assert not fits(Asked(kind), default)


def test_each_kind_takes_its_own_decisions_only() -> None:
    words = {decision for decisions in DECISIONS.values() for decision in decisions}
    for kind in set(RequestKind) - QUESTIONS:
        for word in words:
            answer: dict[str, Any] = {"decision": word}
            if word == "edit":
                answer["input"] = {"command": "ls"}
            assert (not check_answer(Asked(kind), answer).problems) == (word in DECISIONS[kind])


@pytest.mark.parametrize("value", [False, True, 0, 0.0, "", " ", [], [None], "red", {"a": None}])
def test_a_bare_value_answers_a_question(value: Any) -> None:
    question = Asked(RequestKind.QUESTION)
    assert read_default(value) == {"values": value}
    for answer in (value, {"values": value}, {"values": {"answer": value}}, {"answer": value}):
        assert fits(question, answer)


@pytest.mark.parametrize(
    "answer",
    [None, {}, {"values": {}}, {"values": None}, {"values": {"answer": None}}, {"answer": None},
     {"message": ""}, {"decision": "approve"}, {"decision": None}, {"message": 5, "values": 1}],
)  # fmt: skip
def test_an_answer_without_anything_answers_no_question(answer: Any) -> None:
    assert not fits(Asked(RequestKind.QUESTION), answer)


@pytest.mark.parametrize(
    ("default", "is_right"),
    [("a", True), ({"values": {"answer": "a"}}, True), ({"message": "neither"}, True),
     ("z", False), (["a"], False), ([], False), ({"values": {"answer": "z"}}, False),
     ({"decision": "approve"}, False), ({"decision": "deny"}, True)],
)  # fmt: skip
def test_a_choice_is_one_of_the_options(default: Any, *, is_right: bool) -> None:
    assert fits(Asked(RequestKind.QUESTION, options=["a", "b"]), default) == is_right


@pytest.mark.parametrize(
    ("options", "value"), [([0, 1], False), ([1], True), (["1"], 1), ([True], 1), ([None], "")]
)
def test_options_are_compared_by_type(options: list[Any], value: Any) -> None:
    assert not fits(Asked(RequestKind.QUESTION, options=options), {"values": value})


def test_schemas_are_applied_by_the_caller() -> None:
    asked = Asked(RequestKind.APPROVAL, tool_name="bash", tool_input_schema={"type": "object"})
    [check] = check_answer(asked, {"decision": "edit", "input": {"command": 1}}).schemas
    assert (check.schema, check.value) == ({"type": "object"}, {"command": 1})
    raising = Asked(RequestKind.BUDGET, schema={"required": ["max_budget_usd"]})
    [check] = check_answer(raising, {"decision": "approve"}).schemas
    assert check.value is None
    assert check_answer(raising, {"decision": "finish"}).schemas == ()
