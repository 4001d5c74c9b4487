"""Numbers as words."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from domain.executions.report_facts import Excerpt, InputRequest
from domain.ids import new_id
from reports.phrases import count_of, describe_answer, format_duration, format_money, format_size


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (None, "–"),  # noqa: RUF001 - the dash that is meant
        (0, "0 ms"),
        (999, "999 ms"),
        (1_000, "1.0 s"),
        (59_940, "59.9 s"),
        (59_990, "1 min"),
        (60_000, "1 min"),
        (184_000, "3 min 4 s"),
        (7_500_000, "2 h 5 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_durations(milliseconds: int | None, words: str) -> None:
    assert format_duration(milliseconds) == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        ("0", "$0.00"),
        ("0.000003", "$0.000003"),
        ("0.0738", "$0.0738"),
        ("0.99999", "$1.00"),
        ("1234.5", "$1,234.50"),
    ],
)
def test_money(usd: str, words: str) -> None:
    assert format_money(Decimal(usd)) == words


def test_sizes() -> None:
    assert [format_size(n) for n in (0, 999, 1_000, 2_300_000, 5_000_000_000)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.3 MB",
        "5.0 GB",
    ]


def test_plurals() -> None:
    assert [count_of(n, "turn") for n in (0, 1, 1_000)] == ["0 turns", "1 turn", "1,000 turns"]


@pytest.mark.parametrize(
    ("kind", "decision", "words"),
    [
        ("question", "approve", "answered"),
        ("question", "deny", "denied"),
        ("approval", "approve", "approved"),
        ("approval", "edit", "approved with changes"),
        ("budget", "finish", "finished"),
        ("effect_check", "happened", "confirmed"),
        ("effect_check", "not_happened", "run again"),
        ("effect_check", "skip", "skipped"),
    ],
)
def test_the_decision_of_a_person(kind: str, decision: str, words: str) -> None:
    answered = InputRequest(
        id=new_id(),
        kind=kind,
        title=Excerpt(text="?", chars=1),
        status="answered",
        tool_call_id=None,
        decision=decision,
        answer=None,
        answered_by="ada",
        asked_at=datetime.now(UTC),
        answered_at=datetime.now(UTC),
        waited_ms=1,
    )
    assert describe_answer(answered) == words
    expired = replace(answered, answered_by=None, status="expired")
    assert describe_answer(expired) == "expired"
