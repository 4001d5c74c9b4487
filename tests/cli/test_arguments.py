"""What is given on the command line, before anything is sent."""

import pytest

from cli.answering import AnswerNeededError, answer_of, chosen
from cli.arguments import VariableError, variables


def test_variables_are_text_or_json() -> None:
    given = variables(["who=you=me", "count:=3", "list:=[1]", "empty="])
    assert given == {"who": "you=me", "count": 3, "list": [1], "empty": ""}


@pytest.mark.parametrize("assignment", ["nothing", "=x", ":=3", "n:={"])
def test_what_is_no_variable_is_refused(assignment: str) -> None:
    with pytest.raises(VariableError, match="-v"):
        variables([assignment])


def test_a_question_takes_words_and_an_approval_a_decision() -> None:
    question, approval = {"kind": "question"}, {"kind": "approval"}
    assert answer_of(question, "blue", None)["values"] == {"answer": "blue"}
    assert answer_of(question, None, "deny") == {"decision": "deny"}
    assert answer_of(approval, "go", "approve") == {"decision": "approve", "message": "go"}
    with pytest.raises(AnswerNeededError, match="--approve"):
        answer_of(approval, "go", None)
    with pytest.raises(AnswerNeededError):
        answer_of(question, None, None)


def test_an_option_may_be_given_by_its_number() -> None:
    assert chosen(["red", "blue"], "2") == "blue"
    assert chosen(["red", "blue"], "3") == "3"
    assert chosen([], "1") == "1"
