"""URLs, rules and effects of the web tools."""

from typing import Any

import pytest

from domain.rules.decisions import decide, host_rules_of
from domain.rules.permissions import Permissions, rule_from_agent_file
from domain.rules.problems import problems
from domain.tools.builtin import BUILTIN_TOOLS
from domain.tools.calls import ToolEffect
from domain.web.calls import request_effect
from domain.web.urls import WebUrlError, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a.example", "http://a.example/"),
        ("HTTPS://A.Example.:443/x?y#z", "https://a.example/x?y"),
        ("http://a.example?x", "http://a.example/?x"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://a。example/", "http://a.example/"),
        ("http://[::1]:8080/", "http://[::1]:8080/"),
        ("http://[::ffff:127.0.0.1]/", "http://127.0.0.1/"),
    ],
)
def test_equal_urls_have_one_form(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ftp://a.example/", "//a.example/", "a.example", "http://", "http:///x", "https:a.example",
        "http://user@a.example/", "http://a.example\\@b.example/", "http://a.example\\b/",
        "http://a%2eexample/", "http://127.1/", "http://2130706433/", "http://0x7f000001/",
        "http://0177.0.0.1/", "http://①②⑦.0.0.1/", "http://[fe80::1%eth0]/", "http://[::1/",
        "http://a.example:0/", "http://a.example:65536/", "http://a.example:x/", "http://faß.de/",
        "http://a.example/\r\nHost: b", "http://a b.example/", "http://a.example/\ud800", "",
        "https://a.example/" + "a" * 2048,
    ],
)  # fmt: skip
def test_urls_that_programs_read_differently_are_refused(text: str) -> None:
    with pytest.raises(WebUrlError):
        parse_url(text)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/q", "https://a.example/q"),
        ("?k", "https://a.example/x/y?k"),
        ("//b.example/z", "https://b.example/z"),
        ("http://b.example", "http://b.example/"),
        ("javascript:alert(1)", None),
        ("//b.example\\@a.example/", None),
        ("https://user@b.example/", None),
    ],
)
def test_a_redirect_leads_to_a_whole_url(location: str, expected: str | None) -> None:
    url = parse_url("https://a.example/x/y?z")
    if expected is None:
        with pytest.raises(WebUrlError):
            url.join(location)
    else:
        assert str(url.join(location)) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://docs.a.example/", "run"),
        ("https://a.example/", "ask"),
        ("https://docs.a.example.evil.example/", "ask"),
        ("https://BAD.a.example./x", "deny"),
        ("https://bad。a.example", "deny"),
        ("https://xn--bcher-kva.a.example/", "deny"),
    ],
)
def test_patterns_are_for_the_host(url: str, expected: str) -> None:
    permissions = Permissions(
        allowed=["web_fetch(domain:*.A.example)"],
        disallowed=["web_fetch(domain:bad.a.example)", "*(domain:bücher.a.example)"],
    )
    assert decide(permissions, "web_fetch", {"url": url}, ToolEffect.READ_ONLY).kind == expected


@pytest.mark.parametrize(
    ("is_approved", "expected"),
    [(False, {"a.example": None, "b.example": "ask", "bad.example": "forbid"}),
     (True, {"a.example": None, "b.example": None, "bad.example": "forbid"})],
)  # fmt: skip
def test_a_redirect_needs_the_rules_too(
    *, is_approved: bool, expected: dict[str, str | None]
) -> None:
    permissions = Permissions(
        allowed=["http_request(domain:a.example)"], disallowed=["http_request(domain:bad.example)"]
    )
    tool_input = {"url": "https://a.example/"}
    rules = host_rules_of(permissions, "http_request", tool_input, is_approved=is_approved)
    assert rules is not None
    found = {
        "bad.example": "forbid",
        "b.example": "ask" if not is_approved else None,
        "a.example": None,
    }
    assert found == expected
    for host, kind in expected.items():
        problem = rules.problem(host)
        assert (problem is None) is (kind is None)
        if kind == "forbid":
            assert problem == "This task forbids http_request(domain:bad.example)."


@pytest.mark.parametrize(
    ("rule", "suggestion"),
    [
        ("web_fetch(https://a.example/docs/*)", "web_fetch(domain:a.example)"),
        ("web_fetch(a.example)", "web_fetch(domain:a.example)"),
        ("web_fetch(domain:a.example:443)", "web_fetch(domain:a.example)"),
        ("web_fetch(domain:http://user@a.example/)", "web_fetch(domain:a.example)"),
        ("http_request(domain:127.1)", "http_request(domain:example.com)"),
        ("http_request(domain:)", "http_request(domain:example.com)"),
        ("WebFetch(domain:a.example)", "web_fetch(domain:a.example)"),
    ],
)
def test_a_rule_that_can_not_match_is_refused_with_another(rule: str, suggestion: str) -> None:
    [found] = problems([rule])
    assert repr(suggestion) in found.msg


def test_rules_for_hosts() -> None:
    good = ["domain:a.example", "domain:*.a.example", "domain:*", "domain:10.0.0.1", "domain:B.é"]
    assert problems([f"web_fetch({pattern})" for pattern in good]) == []
    assert rule_from_agent_file("WebFetch(domain:a.b)") == "web_fetch(domain:a.b)"
    assert not Permissions(["web_fetch"], disallowed=["web_fetch(domain:*)"]).offers("web_fetch")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ToolEffect.READ_ONLY),
        ({"method": "HEAD"}, ToolEffect.READ_ONLY),
        ({"method": "PUT"}, ToolEffect.EXTERNAL),
        ({"method": "POST", "idempotency_key": "k"}, ToolEffect.IDEMPOTENT),
        ({"method": "POST", "headers": {"Idempotency-Key": "k"}}, ToolEffect.IDEMPOTENT),
        ({"method": "POST", "headers": {"Idempotency-Key": " "}}, ToolEffect.EXTERNAL),
        ({"method": "POST", "headers": "x"}, ToolEffect.EXTERNAL),
        ({"method": ["GET"]}, ToolEffect.EXTERNAL),
        ("not an object", ToolEffect.EXTERNAL),
    ],
)
def test_the_effect_depends_on_the_request(given: Any, expected: ToolEffect) -> None:
    assert request_effect(BUILTIN_TOOLS["http_request"], given) is expected
