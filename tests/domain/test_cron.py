import pytest

from domain.cron import CronError, check

FIRING = [
    "* * * * *",
    "0 9 * * 1-5",
    "*/15 0-6/2 1,15 jan-mar SUN",
    "5/20 * * * 7",
    "0 0 29 2 *",
    "0 0 31 1,2 *",
    "59 23 31 12 0",
]
REFUSED = [
    "",
    "0 9 * *",
    "0 0 9 * * *",
    "@daily",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "5-1 * * * *",
    "*/0 * * * *",
    "*/-1 * * * *",
    "1,,2 * * * *",
    "- * * * *",
    "a * * * *",
    "٣ * * * *",
    "100 * * * *",
    "* * L * *",
    "* * * * 1#2",
    "* * 15W * *",
    "? * * * *",
    "mon * * * *",
    "0 9 31 2 *",
    "0 9 31 2,4,6,9,11 *",
    "0 9 30 feb *",
]


@pytest.mark.parametrize("expression", FIRING)
def test_expressions_that_fire(expression: str) -> None:
    check(expression)


@pytest.mark.parametrize("expression", REFUSED)
def test_expressions_that_never_would(expression: str) -> None:
    with pytest.raises(CronError) as refused:
        check(expression)
    assert str(refused.value)
