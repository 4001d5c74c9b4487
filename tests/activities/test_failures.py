"""What enters Temporal for an error: a code, a fixed sentence, and whether to retry."""

import pytest
from temporalio.exceptions import ApplicationError

from activities.failures import IS_RETRYABLE, SENTENCE, translate_errors
from domain.errors import ErrorCode, FencedOutError, PerdureError, WorkspaceElsewhereError
from domain.ids import new_id


def raise_in_activity(error: BaseException) -> ApplicationError:
    """Return the error of an activity whose work raises this."""
    with pytest.raises(ApplicationError) as caught, translate_errors():
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("error", "code", "is_final"),
    [
        (FencedOutError("secret"), "fenced_out", True),
        (WorkspaceElsewhereError("secret", new_id()), "workspace_elsewhere", False),
        (ValueError("secret"), "ValueError", False),
        (KeyError("secret"), "KeyError", False),
    ],
)
def test_only_the_code_enters(error: Exception, code: str, *, is_final: bool) -> None:
    failure = raise_in_activity(error)
    assert failure.message == SENTENCE
    assert failure.non_retryable is is_final
    assert failure.type == code
    assert "secret" not in repr(failure)
    assert failure.__cause__ is None


def test_the_table_has_every_error() -> None:
    def subclasses(error: type[PerdureError]) -> set[type[PerdureError]]:
        found = set(error.__subclasses__())
        return found.union(*(subclasses(e) for e in found)) if found else found

    ours = {e for e in subclasses(PerdureError) if e.__module__ == "domain.errors"}
    assert ours == set(IS_RETRYABLE)


def test_codes_are_unique() -> None:
    codes = [error.code for error in IS_RETRYABLE]
    assert len(codes) == len(set(codes))
    assert len({code.value for code in ErrorCode}) == len(ErrorCode)
