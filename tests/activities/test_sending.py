import pytest

from activities.sending import make_outcome
from domain.people.notifications import delay_after
from runtime.outbound import Answer


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("30", 30),
        ("nan", 5),
        ("-nan", 5),
        ("inf", 5),
        ("1e400", 5),
        ("-30", 5),
        ("soon", 5),
        ("1e300", 86_400),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 5),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", 5),
        ("Fri, 31 Dec 1999 23:59:59 +9999999999999999", 5),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
    ],
)
def test_any_retry_after_gives_the_next_attempt_a_time(retry_after: str, seconds: float) -> None:
    outcome = make_outcome(Answer(503, {"retry-after": retry_after}, b""))
    assert delay_after(1, outcome.retry_after_seconds).total_seconds() == seconds
