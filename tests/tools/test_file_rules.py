"""Rules on paths: links lead around none, and lists leave out what a rule restricts."""

from dataclasses import replace
from typing import Any

import pytest

from domain.rules.decisions import path_rules_of
from domain.rules.permissions import Permissions
from domain.tools.calls import ToolOutcome
from tests.tools.conftest import SessionCalls

RULED: dict[str, dict[str, Any]] = {
    "read_file": {},
    "edit_file": {"old_text": "k", "new_text": "l"},
    "write_file": {"content": "x"},
    "save_artifact": {},
}


def write_secrets(call: SessionCalls) -> None:
    (call.workspace / "secrets").mkdir()
    (call.workspace / "secrets/k").write_text("key\n")
    (call.workspace / "open").write_text("key\n")
    (call.workspace / "link").symlink_to("secrets/k")
    (call.workspace / "way").symlink_to("/workspace/secrets")
    (call.workspace / "chain").symlink_to("./link")


async def run_under_rule(
    call: SessionCalls,
    permissions: Permissions,
    tool: str,
    *,
    is_approved: bool = False,
    **fields: Any,
) -> ToolOutcome:
    rules = path_rules_of(permissions, tool, fields, is_approved=is_approved)
    return await call.run(replace(call.invocation(tool, **fields), path_rules=rules))


@pytest.mark.parametrize("tool", RULED)
@pytest.mark.parametrize("path", ["link", "way/k", "chain", "./way//k"])
async def test_a_link_does_not_lead_around_a_rule(call: SessionCalls, tool: str, path: str) -> None:
    write_secrets(call)
    denied = Permissions(allowed=[tool], disallowed=[f"{tool}(secrets/*)"])
    outcome = await run_under_rule(call, denied, tool, path=path, **RULED[tool])
    assert outcome.is_error
    assert "is a link to secrets/k. This task forbids" in outcome.text
    outcome = await run_under_rule(call, denied, tool, path=path, is_approved=True, **RULED[tool])
    assert outcome.is_error
    asked = Permissions(allowed=[tool], ask=[f"{tool}(secrets/*)"])
    outcome = await run_under_rule(call, asked, tool, path=path, **RULED[tool])
    assert f"Call {tool} with the path secrets/k." in outcome.text
    narrow = Permissions(allowed=[f"{tool}(link)", f"{tool}(way/*)", f"{tool}(chain)"])
    outcome = await run_under_rule(call, narrow, tool, path=path, **RULED[tool])
    assert f"Call {tool} with the path secrets/k." in outcome.text
    assert (call.workspace / "secrets/k").read_text() == "key\n"


@pytest.mark.parametrize("tool", RULED)
async def test_a_link_to_what_the_rules_allow_is_followed(call: SessionCalls, tool: str) -> None:
    write_secrets(call)
    for permissions, is_approved in (
        (Permissions(allowed=[tool], disallowed=[f"{tool}(open)"]), False),
        (Permissions(allowed=[tool], ask=[f"{tool}(secrets/*)"]), True),
        (Permissions(allowed=[f"{tool}(secrets/*)", f"{tool}(link)"]), False),
    ):
        fields = {"path": "link", **RULED[tool]}
        outcome = await run_under_rule(call, permissions, tool, is_approved=is_approved, **fields)
        assert not outcome.is_error, outcome.text
        (call.workspace / "secrets/k").write_text("key\n")


async def test_lists_and_searches_leave_out_what_a_rule_restricts(call: SessionCalls) -> None:
    write_secrets(call)
    permissions = Permissions(
        allowed=["list_files", "search_files"],
        disallowed=["list_files(secrets/)"],
        ask=["search_files(**/k)"],
    )
    listed = (await run_under_rule(call, permissions, "list_files")).text.splitlines()
    assert [line.split()[0] for line in listed] == ["chain", "link", "open", "way"]
    found = await run_under_rule(call, permissions, "search_files", pattern="key")
    assert found.text == "open:1:key"
    found = await run_under_rule(call, permissions, "search_files", pattern="key", path="secrets")
    assert found.text == "(no matches)"
    found = await run_under_rule(call, permissions, "search_files", pattern="key", is_approved=True)
    assert "secrets/k:1:key" in found.text


@pytest.mark.parametrize(
    ("tool", "fields"), [("list_files", {}), ("search_files", {"pattern": "k"})]
)
async def test_a_link_to_a_restricted_directory_is_refused(
    call: SessionCalls, tool: str, fields: dict[str, Any]
) -> None:
    write_secrets(call)
    permissions = Permissions(allowed=[tool], disallowed=[f"{tool}(secrets)"])
    outcome = await run_under_rule(call, permissions, tool, path="way", **fields)
    assert "way is a link to secrets. This task forbids" in outcome.text
