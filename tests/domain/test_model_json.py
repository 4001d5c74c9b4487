import pytest

from domain.model.json_values import DEEPEST, make_encodable, parse_json


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


@pytest.mark.parametrize(
    ("value", "encodable"),
    [
        ("A\ud99c", "A\ufffd"),
        ("\ud83d\ude00 \ude00\ud83d", "\U0001f600 \ufffd\ufffd"),
        ({"\ud800": ["\udfff", 1, None]}, {"\ufffd": ["\ufffd", 1, None]}),
    ],
)
def test_half_a_pair_is_replaced_everywhere(value: object, encodable: object) -> None:
    assert make_encodable(value) == encodable


def test_what_utf_8_can_encode_stays() -> None:
    value = {"b": "nul \0, \U0001f600", "a": [1.5, True, {}]}
    assert make_encodable(value) is value


def test_numbers_that_json_does_not_know_may_be_null() -> None:
    text = '{"a": NaN, "b": [-Infinity, 1e999, 1.5]}'
    assert parse_json(text, non_finite_as_null=True) == {"a": None, "b": [None, None, 1.5]}
