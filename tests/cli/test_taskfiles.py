"""Task files and variables, before anything is sent."""

from pathlib import Path

import pytest

from cli.answering import AnswerNeededError, answer_of, chosen
from cli.taskfiles import TaskFileError, is_file, read, variables


def test_a_file_may_leave_out_what_has_one_obvious_value(tmp_path: Path) -> None:
    file = tmp_path / "task.yaml"
    file.write_text("name: hello\nprompt_template: Say hello.\n")
    assert read(file) == {
        "name": "hello",
        "prompt_template": "Say hello.",
        "allowed_tools": [],
        "sdk_options": {},
    }


def test_json_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "task.json"
    file.write_text('{"name": "hello", "allowed_tools": ["bash"]}')
    assert read(file)["allowed_tools"] == ["bash"]


@pytest.mark.parametrize("content", ["- a list", "no name: here", ": : :", "\xff"])
def test_what_is_no_task_is_refused_by_its_files_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "task.yaml"
    file.write_text(content, encoding="latin-1")
    with pytest.raises(TaskFileError, match=r"task\.yaml"):
        read(file)


def test_what_ends_like_a_file_is_one() -> None:
    assert is_file("missing.yaml")
    assert not is_file("weekly report")


def test_variables_are_text_or_json() -> None:
    given = variables(["who=you=me", "count:=3", "list:=[1]", "empty="])
    assert given == {"who": "you=me", "count": 3, "list": [1], "empty": ""}


@pytest.mark.parametrize("assignment", ["nothing", "=x", ":=3", "n:={"])
def test_what_is_no_variable_is_refused(assignment: str) -> None:
    with pytest.raises(TaskFileError, match="-v"):
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
