import pytest

from domain.rules.permissions import Permissions
from domain.tools.offers import offers


@pytest.mark.parametrize(
    ("permissions", "rule"),
    [
        (Permissions(allowed=["bash"]), "allowed"),
        (Permissions(allowed=["b*"]), "allowed"),
        (Permissions(ask=["bash"]), "ask"),
        (Permissions(allowed=["bash"], ask=["bash"]), "ask"),
        (Permissions(ask=["bash(rm *)"]), "ask"),
        (Permissions(allowed=["bash(git *)"]), "by_pattern"),
        (Permissions(allowed=["bash"], ask=["bash(rm *)"]), "by_pattern"),
        (Permissions(allowed=["bash"], disallowed=["bash(rm *)"]), "by_pattern"),
        (Permissions(ask=["bash"], mode="bypassPermissions"), "allowed"),
    ],
)
def test_a_rule_is_summarised_in_a_word(permissions: Permissions, rule: str) -> None:
    (offer,) = offers(permissions)
    assert (offer.tool, offer.rule) == ("bash", rule)


def test_a_question_needs_no_permission() -> None:
    (offer,) = offers(Permissions(ask=["ask_user"]))
    assert offer.rule == "allowed"


def test_what_is_not_named_is_not_offered() -> None:
    assert list(offers(Permissions(disallowed=["bash"]))) == []


def test_what_is_forbidden_as_a_whole_is_left_out() -> None:
    permissions = Permissions(allowed=["bash", "read_file"], disallowed=["bash"])
    assert [offer.tool for offer in offers(permissions)] == ["read_file"]
