"""What clients poll is rendered again when it has changed, and for each caller."""

from typing import ClassVar
from uuid import UUID, uuid4

from pydantic import BaseModel

from api.http.polled import KEPT, LONGEST_KEPT, PolledResources
from api.http.responses import etag


class Made(BaseModel):
    """Counts how often it is made."""

    count: ClassVar[int] = 0
    text: str
    links: list[str]

    def model_post_init(self, _: object) -> None:
        """Count."""
        Made.count += 1


def test_a_resource_is_rendered_again_only_when_it_has_changed() -> None:
    polled, key = PolledResources(), uuid4()
    Made.count = 0

    first = polled.render(key, ("alice", {"text": "a"}), lambda: Made(text="a", links=["x"]))
    assert polled.render(key, ("alice", {"text": "a"}), lambda: Made(text="-", links=[])) is first
    assert Made.count == 1
    assert first.tag == etag(first.content)

    other = polled.render(key, ("bob", {"text": "a"}), lambda: Made(text="a", links=["y"]))
    assert b'"y"' in other.content
    again = polled.render(key, ("alice", {"text": "a"}), lambda: Made(text="a", links=["x"]))
    assert again == first


def test_it_keeps_a_bounded_number_of_short_resources() -> None:
    polled = PolledResources()
    keys = [uuid4() for _ in range(KEPT + 1)]
    long = uuid4()

    def render(key: UUID) -> None:
        text = "x" * LONGEST_KEPT if key == long else ""
        polled.render(key, "state", lambda: Made(text=text, links=[]))

    for key in (*keys, long):
        render(key)
    Made.count = 0

    render(keys[-1])
    assert Made.count == 0
    render(keys[0])
    render(long)
    assert Made.count == 2
