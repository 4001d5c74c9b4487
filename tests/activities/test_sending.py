import pytest

from activities.sending import _judged
from domain.notifications import delay_after
from runtime.outbound import Answer


@pytest.mark.parametrize(
    ("said", "seconds"),
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
def test_whatever_a_receiver_asks_for_the_next_try_has_a_time(said: str, seconds: float) -> None:
    tried = _judged(Answer(503, {"retry-after": said}, b""))
    assert delay_after(1, tried.retry_after_seconds).total_seconds() == seconds
