"""`web_fetch` with real servers: pages, parts, redirects, files, and servers that misbehave."""

import gzip

import pytest

from domain.rules.permissions import Permissions
from tests.runtime.receiver import answer, dripping
from tests.tools.web.conftest import Web, html
from tools.limits import MIB, ToolLimits
from tools.web import fetching

PAGE = """<html><head><title>The &amp; page</title><script>alert(1)</script></head>
<body><h1>Hello</h1><p>Some <b>bold</b> <a href="/more?a=1">link</a>.</p></body></html>"""


async def test_a_page_is_markdown_with_whole_links(web: Web) -> None:
    web.receiver.replies = [answer(**html(PAGE))]
    text = await web.calls().text("web_fetch", url=web.url(path="/x/page"))
    assert text == (
        "HTTP 200 OK\nTitle: The & page\n\n# Hello\n\n"
        f"Some **bold** [link]({web.url(path='/more?a=1')})."
    )
    got = web.receiver.received[0]
    assert (got.method, got.path) == ("GET", "/x/page")
    assert got.headers["host"] == f"site.example:{web.receiver.port}"


async def test_a_page_with_elements_nested_too_deep_is_plain_text(web: Web) -> None:
    deep = "<div>" * 1100 + "deep &amp; <b>text</b><script>x</script>" + "</div>" * 1100
    web.receiver.replies = [answer(**html(f"<p>before</p>\n{deep}\n<p>after</p>"))]
    text = await web.calls().text("web_fetch", url=web.url())
    assert text == "HTTP 200 OK\n\nbefore\ndeep & text\nafter"


async def test_a_long_text_is_read_in_parts(web: Web) -> None:
    web.limits = ToolLimits(preview_bytes=1000)
    content = "".join(f"{n:05} ä\n" for n in range(300))
    web.receiver.replies = [answer(200, content.encode(), Content_Type="text/plain")]
    calls = web.calls()
    found, offset = "", 0
    for _ in range(4):
        text = await calls.text("web_fetch", url=web.url(), offset=offset)
        part, _, more = text.removeprefix("HTTP 200 OK\n\n").partition("\n\n(… Characters ")
        found += part
        if "Continue with offset " not in more:
            break
        offset = int(more.split("offset ")[1].split(".")[0])
    assert found == content
    assert more == f"{offset:,} to 2,400 of 2,400. …)"


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("text/html; charset=iso-8859-1", "<p>caf\xe9 \x80</p>".encode("latin-1"), "café €"),
        ("text/html", '<meta charset="shift_jis"><p>日本</p>'.encode("shift_jis"), "日本"),
        ("text/plain; charset=nonsense", "grün".encode(), "grün"),
        ("text/plain", b"\xef\xbb\xbfgr\xc3\xbcn", "grün"),
        ("text/plain; charset=unicode_escape", rb"\x41", r"\x41"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/vnd.x+json; charset=utf-16", '["ü"]'.encode("utf-16"), '["ü"]'),
    ],
)
async def test_texts_are_decoded(
    web: Web, content_type: str, content: bytes, expected: str
) -> None:
    web.receiver.replies = [answer(200, content, Content_Type=content_type)]
    assert (await web.calls().text("web_fetch", url=web.url())).endswith(f"\n\n{expected}")


async def test_a_file_is_saved_as_an_artifact(web: Web) -> None:
    web.receiver.replies = [answer(200, b"%PDF\0\1\2", Content_Type="application/pdf")]
    outcome = await web.calls()("web_fetch", url=web.url(path="/a/report%20one"))
    assert outcome.text.endswith(
        "This is not a text (application/pdf, 7 bytes). Saved as the artifact report one.pdf."
    )
    [file] = outcome.artifacts
    assert (file.path.read_bytes(), file.media_type) == (b"%PDF\0\1\2", "application/pdf")
    file.path.unlink()


async def test_bytes_without_a_type_are_no_text(web: Web) -> None:
    web.receiver.replies = [answer(200, bytes(range(256)))]
    refusal = await web.calls().refusal("web_fetch", url=web.url())
    assert "is not a text (unknown type, 256 bytes)" in refusal


async def test_redirects_are_followed_within_the_list(web: Web) -> None:
    web.receiver.replies = [
        answer(301, Location=web.url("api.example", "/b")),
        answer(302, Location="/c?d"),
        answer(200, b"here", Content_Type="text/plain"),
    ]
    text = await web.calls().text("web_fetch", url=web.url())
    url = web.url("api.example", "/c?d")
    assert text == f"HTTP 200 OK from {url}, after a redirect\n\nhere"
    assert [got.path for got in web.receiver.received] == ["/", "/b", "/c?d"]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://other.example:{port}/", "other.example:{port} is not in the network list"),
        ("http://127.0.0.1:{port}/", "127.0.0.1:{port} is not in the network list"),
        ("http://2130706433:{port}/", "redirects to a URL that can't be used"),
        ("http://x@site.example:{port}/", "redirects to a URL that can't be used"),
        ("file:///etc/passwd", "redirects to a URL that can't be used"),
        ("gopher://site.example:{port}/", "redirects to a URL that can't be used"),
        ("https://site.example/", "site.example:443 is not in the network list"),
    ],
)
async def test_a_redirect_elsewhere_is_refused(web: Web, location: str, expected: str) -> None:
    port = web.receiver.port
    web.receiver.replies = [answer(302, Location=location.format(port=port))]
    refusal = await web.calls().refusal("web_fetch", url=web.url())
    assert expected.format(port=port) in refusal
    assert len(web.receiver.received) == 1


async def test_a_redirect_to_a_host_that_a_rule_forbids_is_refused(web: Web) -> None:
    web.receiver.replies = [answer(302, Location=web.url("api.example"))]
    calls = web.calls()
    calls.permissions = Permissions(["web_fetch"], disallowed=["web_fetch(domain:*pi.example)"])
    refusal = await calls.refusal("web_fetch", url=web.url())
    assert "This task forbids web_fetch(domain:*pi.example)." in refusal
    assert len(web.receiver.received) == 1


async def test_endless_redirects_end(web: Web) -> None:
    web.receiver.replies = [answer(302, Location="/again")]
    refusal = await web.calls().refusal("web_fetch", url=web.url())
    assert "There are more than 5 redirects" in refusal
    assert len(web.receiver.received) == 6


async def test_an_error_page_is_a_result(web: Web) -> None:
    web.receiver.replies = [answer(404, b"gone", Content_Type="text/plain")]
    text = await web.calls().text("web_fetch", url=web.url())
    assert text == "HTTP 404 Not Found (the server reports an error)\n\ngone"


async def test_a_page_is_read_up_to_a_limit(web: Web) -> None:
    web.limits = ToolLimits(page_bytes=100)
    web.receiver.replies = [answer(200, b"x" * 1000, Content_Type="text/plain")]
    text = await web.calls().text("web_fetch", url=web.url())
    assert "x" * 100 + "\n\n(The page has more than" in text


async def test_a_small_response_does_not_become_a_large_one(web: Web) -> None:
    """A gzip bomb: 64 MiB in 64 KB. Only the limit is unpacked."""
    web.limits = ToolLimits(page_bytes=MIB)
    bomb = gzip.compress(b"x" * (64 * MIB))
    web.receiver.replies = [answer(200, bomb, Content_Type="text/plain", Content_Encoding="gzip")]
    text = await web.calls().text("web_fetch", url=web.url())
    assert "(The page has more than 1 MiB; the rest was not read.)" in text


async def test_an_unknown_encoding_is_refused(web: Web) -> None:
    web.receiver.replies = [answer(200, b"x", Content_Type="text/html", Content_Encoding="br")]
    refusal = await web.calls().refusal("web_fetch", url=web.url())
    assert "the encoding 'br', which is not supported" in refusal


async def test_a_page_that_can_not_be_converted_in_time_is_refused(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tools.web.pages._LONGEST_SECONDS", 0.0)
    web.receiver.replies = [answer(**html(PAGE))]
    refusal = await web.calls().refusal("web_fetch", url=web.url())
    assert "too large or too complex" in refusal


async def test_a_slow_server_is_given_up(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_SECONDS", 0.3)
    async with dripping() as port:
        web.receiver.port = port
        refusal = await web.calls().refusal("web_fetch", url=web.url())
    assert "No complete response arrived within 0." in refusal


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://site.example/", "must start with https:// or http://"),
        ("http://user:pass@site.example/", "must not contain a user name"),
        ("http://0x7f.1/", "is not a host"),
        ("http://site.example/?key=secret://key", "Secrets are sent in headers only"),
    ],
)
async def test_an_unusable_url_is_refused_with_the_reason(
    web: Web, url: str, expected: str
) -> None:
    assert expected in await web.calls().refusal("web_fetch", url=url)


async def test_without_a_network_nothing_is_reached(web: Web) -> None:
    calls = web.calls()
    calls.network = type(calls.network)()
    assert "is not in the network list" in await calls.refusal("web_fetch", url=web.url())
    assert web.receiver.received == []
