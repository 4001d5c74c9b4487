"""What is given on the command line, before anything is sent."""

from collections.abc import Mapping

import pytest

from cli.arguments.times import parse_later, parse_time
from cli.arguments.values import ArgumentError, hint_at_missing_variables, parse_variables
from cli.connection.client import RefusedError
from cli.exits import CommandError
from cli.inbox.answering import AnswerNeededError, choose_option, make_answer, make_edit


def test_variables_are_text_or_json() -> None:
    given = parse_variables(["who=you=me", "count:=3", "list:=[1]", "empty="])
    assert given == {"who": "you=me", "count": 3, "list": [1], "empty": ""}


@pytest.mark.parametrize(
    "assignment", ["nothing", "=x", ":=3", "n:={", "n:=NaN", 'n:={"a": 1, "a": 2}']
)
def test_what_is_no_variable_is_refused(assignment: str) -> None:
    with pytest.raises(ArgumentError, match="-v"):
        parse_variables([assignment])


@pytest.mark.parametrize("second", ["a=2", "a:=2"])
def test_a_variable_is_given_once(second: str) -> None:
    with pytest.raises(ArgumentError, match="'a' is given twice"):
        parse_variables(["a=1", second])


@pytest.mark.parametrize("given", ["[1]", "{", '{"a": 1, "a": 2}', "@missing.json"])
def test_an_edited_input_is_one_json_object(given: str) -> None:
    with pytest.raises(CommandError):
        make_edit(given, None)


def test_a_question_takes_words_and_an_approval_a_decision() -> None:
    question, approval = {"kind": "question"}, {"kind": "approval"}
    assert make_answer(question, "blue", None)["values"] == {"answer": "blue"}
    assert make_answer(question, None, "deny") == {"decision": "deny"}
    assert make_answer(approval, "go", "approve") == {"decision": "approve", "message": "go"}
    assert make_answer(question, "", None)["values"] == {"answer": ""}
    assert make_answer(question, None, "skip") == {"decision": "skip"}  # the gateway refuses it
    with pytest.raises(AnswerNeededError, match="--approve"):
        make_answer(approval, "go", None)
    with pytest.raises(AnswerNeededError):
        make_answer(question, None, None)


def test_an_option_may_be_given_by_its_number() -> None:
    assert choose_option(["red", "blue"], "2") == "blue"
    assert choose_option(["red", "blue"], "3") == "3"
    assert choose_option([], "1") == "1"


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+00:00"),
        ("2026-01-31T09:00:00Z", "2026-01-31T09:00:00+00:00"),
        ("2026-01-31 09:00+01:00", "2026-01-31T09:00:00+01:00"),
    ],
)
def test_a_time_without_a_zone_is_utc(given: str, sent: str) -> None:
    assert parse_time(given) == sent


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(CommandError, match="for that long ago"):
        parse_time("tomorrow")
    with pytest.raises(CommandError, match="in that time"):
        parse_later("yesterday")


def test_answers_to_effect_checks_and_budgets() -> None:
    check = {"kind": "effect_check"}
    for decision in ("happened", "not_happened", "skip"):
        assert make_answer(check, "Seen.", decision) == {"decision": decision, "message": "Seen."}
    for misread in (None, "approve", "deny"):
        with pytest.raises(AnswerNeededError, match="happened, not_happened or skip"):
            make_answer(check, "Seen.", misread)
    budget = {"kind": "budget", "schema": {"required": ["max_budget_usd"]}}
    raised = {"decision": "approve", "values": {"max_budget_usd": 2.5}}
    assert make_answer(budget, "2.50", "approve") == raised
    assert make_answer(budget, None, "finish") == {"decision": "finish"}
    for amount in (None, "", "more"):
        with pytest.raises(AnswerNeededError, match="budget in USD"):
            make_answer(budget, amount, "approve")
    assert make_answer({"kind": "budget"}, None, "approve") == {"decision": "approve"}


def refusal(*errors: Mapping[str, object]) -> RefusedError:
    return RefusedError({"detail": "Refused.", "errors": list(errors)}, 422)


def test_missing_variables_are_refused_with_how_to_give_them() -> None:
    missing = [
        {"loc": ["body", "variables", name], "msg": "The prompt needs a value.", "type": "missing"}
        for name in ("city", "day")
    ]
    how = "Give -v city=… -v day=…, or --allow-missing"
    with pytest.raises(ArgumentError, match=how), hint_at_missing_variables():
        raise refusal(*missing)


def test_other_refusals_stay_as_they_are() -> None:
    other = {"loc": ["body", "agent_id"], "msg": "There is none.", "type": "missing"}
    with pytest.raises(RefusedError) as caught, hint_at_missing_variables():
        raise refusal(other)
    assert "--allow-missing" not in str(caught.value)
