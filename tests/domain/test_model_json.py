import pytest

from domain.model_json import DEEPEST, parse_json


@pytest.mark.parametrize("text", ["", "{", "NaN", '{"a": Infinity}', "[1e999]", "[" * 9999])
def test_what_cannot_be_kept_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"Expecting|NaN|Infinity|1e999|deeply"):
        parse_json(text)


def test_as_deep_as_an_answer_can_carry() -> None:
    def nested(levels: int) -> str:
        return '{"a":[' * (levels // 2) + "]}" * (levels // 2)

    assert parse_json(nested(DEEPEST))
    with pytest.raises(ValueError, match="deeply"):
        parse_json(nested(DEEPEST + 2))
    assert len(parse_json("[" + "[]," * DEEPEST + "{}]")) == DEEPEST + 1
