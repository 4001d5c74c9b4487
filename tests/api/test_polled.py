"""What clients poll is rendered again when it has changed, and for each caller."""

from typing import ClassVar
from uuid import UUID, uuid4

from pydantic import BaseModel

from api.http.polled import KEPT, LONGEST_KEPT, PolledResources


class Made(BaseModel):
    """Counts how often it is made."""

    count: ClassVar[int] = 0
    id: UUID
    text: str
    links: list[str]

    def model_post_init(self, _: object) -> None:
        """Count."""
        Made.count += 1


def test_a_resource_is_rendered_again_only_when_it_has_changed() -> None:
    polled, key = PolledResources(), uuid4()
    Made.count = 0

    first = polled.render(Made, {"id": key, "text": "a", "links": ["x"]})
    assert polled.render(Made, {"id": key, "text": "a", "links": ["x"]}) is first
    assert Made.count == 1

    other = polled.render(Made, {"id": key, "text": "a", "links": ["y"]})
    assert b'"y"' in other.content
    assert polled.render(Made, {"id": key, "text": "a", "links": ["x"]}) == first


def test_it_keeps_a_bounded_number_of_short_resources() -> None:
    polled = PolledResources()
    keys = [uuid4() for _ in range(KEPT + 1)]
    for key in keys:
        polled.render(Made, {"id": key, "text": "", "links": []})
    long = {"id": uuid4(), "text": "x" * LONGEST_KEPT, "links": []}
    polled.render(Made, long)
    Made.count = 0

    polled.render(Made, {"id": keys[-1], "text": "", "links": []})
    assert Made.count == 0
    polled.render(Made, {"id": keys[0], "text": "", "links": []})
    polled.render(Made, long)
    assert Made.count == 2
