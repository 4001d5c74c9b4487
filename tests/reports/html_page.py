"""A strict reader of rendered pages."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "hr"}
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "nav", "footer"),
    *("section", "div", "span", "p", "h1", "h2", "h3", "h4", "h5", "h6", "a", "b", "i", "bdi"),
    *("small", "time", "dl", "dt", "dd", "ul", "ol", "li", "details", "summary", "pre", "code"),
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td", "br", "hr", "blockquote", "strong"),
    *("em", "s", "del", "ins", "figure", "figcaption"),
    *("svg", "desc", "defs", "pattern", "g", "rect", "path", "text", "tspan"),
}


@dataclass
class HtmlPage(HTMLParser):
    """The content of a page; raises an error if its tags are not balanced."""

    text: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    attributes: set[tuple[str, str]] = field(default_factory=set)
    open_tags: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, tag
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute twice in <{tag}>"
        for name, value in attrs:
            self.attributes.add((tag, name))
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")
            if name == "style":
                self.styles.append(value or "")
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open_tags, f"</{tag}> with nothing open"
        assert self.open_tags.pop() == tag, f"</{tag}> closes another tag"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read_page(html: bytes) -> HtmlPage:
    """The page; checks that tags are balanced, ids are unique and inner links have a target."""
    page = HtmlPage()
    page.feed(html.decode())
    page.close()
    assert not page.open_tags
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert not link.startswith("#") or link[1:] in page.ids, link
    return page
