"""Decides whether a tool call may run. Workflows never load it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from domain.rules.entries import PATH_TOOLS, WEB_TOOLS, Rule
from domain.rules.matching import (
    CallSubject,
    find_restricted_command,
    may_hide_from,
    permits,
    restricts,
)
from domain.rules.permissions import EDITS, Permissions, valid_rules
from domain.tools.calls import ToolEffect
from domain.tools.engine import ASK_USER, SUBMIT_PLAN

ONE_COMMAND = (
    "Use one call for each command, without pipes, redirections, variables or substitutions."
)
_LISTED_RULES = 5
"""Most rules in one reason (chosen)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a call runs; `reason` is a sentence for the model, or for the person who approves.

    `rule` is the rule that decided, as it is written in the task; None if no rule did.
    """

    kind: Literal["run", "ask", "deny"]
    reason: str
    rule: str | None = None


def decide(
    permissions: Permissions, tool: str, tool_input: Mapping[str, Any], effect: ToolEffect
) -> Verdict:
    """Decide on one call. The strictest matching rule applies."""
    subject = CallSubject(tool, tool_input)
    if forbidden := _find_denial(permissions, subject):
        return forbidden
    if not permissions.offers(tool):
        return Verdict("deny", f"{tool} is not among the tools of this task.")
    if permissions.mode == "plan" and effect is not ToolEffect.READ_ONLY:
        return Verdict(
            "deny",
            f"Only reading is allowed until a person approves your plan, and {tool} does more. "
            f"Submit it with {SUBMIT_PLAN}.",
        )
    return _unless_waived(permissions, tool, _apply_rules(permissions, subject))


def find_denial(
    permissions: Permissions, tool: str, tool_input: Mapping[str, Any]
) -> Verdict | None:
    """The denial by `disallowed_tools`, which also apply to edited inputs, or None."""
    return _find_denial(permissions, CallSubject(tool, tool_input))


def is_covered(rules: Sequence[str], tool: str, tool_input: Mapping[str, Any]) -> bool:
    """Whether restricting rules apply to a call."""
    return _restriction("ask", "", rules, CallSubject(tool, tool_input)) is not None


def host_rules_of(
    permissions: Permissions, tool: str, tool_input: Mapping[str, Any], *, is_approved: bool
) -> "CallHostRules | None":
    """The rules for the hosts to which a call of a web tool is redirected; None for other tools.

    An approved call needs no other approval, but `disallowed_tools` still apply.
    """
    if tool not in WEB_TOOLS:
        return None
    return CallHostRules(permissions, CallSubject(tool, tool_input), is_approved)


@dataclass(frozen=True, slots=True)
class CallHostRules:
    """The rules for the hosts that one call reaches (`domain.tools.calls.HostRules`)."""

    permissions: Permissions
    subject: CallSubject
    is_approved: bool

    def problem(self, host: str) -> str | None:
        """Why the call may not send a request to this host, or None."""
        if host == self.subject.host:
            return None  # decided before the call
        url = f"https://[{host}]/" if ":" in host else f"https://{host}/"
        at = CallSubject(self.subject.tool, {"url": url})
        verdict = _find_obstacle(self.permissions, at, is_approved=self.is_approved)
        if verdict is None:
            return None
        hint = f" Call {at.tool} with that URL." if verdict.kind == "ask" else ""
        return f"{verdict.reason}{hint}"


def path_rules_of(
    permissions: Permissions, tool: str, tool_input: Mapping[str, Any], *, is_approved: bool
) -> "CallPathRules | None":
    """The rules for the paths that a call reaches, or None if no pattern is for its tool.

    An approved call needs no other approval, but `disallowed_tools` still apply.
    """
    restricting = permissions.disallowed if is_approved else permissions.restricting
    patterns = [
        rule
        for rule in valid_rules([*restricting, *permissions.allowed])
        if rule.argument is not None and rule.names(tool)
    ]
    if tool not in PATH_TOOLS or not patterns:
        return None
    return CallPathRules(
        permissions, CallSubject(tool, tool_input), valid_rules(restricting), is_approved
    )


@dataclass(frozen=True, slots=True)
class CallPathRules:
    """The rules for the paths that one call reaches (`domain.tools.calls.PathRules`)."""

    permissions: Permissions
    subject: CallSubject
    restricting: Sequence[Rule]
    is_approved: bool

    def problem(self, path: str) -> str | None:
        """Why the call may not use this path, to which a symbolic link leads, or None."""
        if self.subject.path in (None, path):
            return None  # decided before the call
        at = self._make_subject(path)
        verdict = _find_obstacle(self.permissions, at, is_approved=self.is_approved)
        if verdict is None:
            return None
        hint = f" Call {at.tool} with the path {path}." if verdict.kind == "ask" else ""
        return f"{self.subject.path} is a link to {path}. {verdict.reason}{hint}"

    def hides(self, path: str) -> bool:
        """Whether a rule restricts this path, which is below the path of the call."""
        at = self._make_subject(path)
        return any(rule.argument is not None and restricts(rule, at) for rule in self.restricting)

    def _make_subject(self, path: str) -> CallSubject:
        return CallSubject(self.subject.tool, {"path": path})


def _find_obstacle(
    permissions: Permissions, subject: CallSubject, *, is_approved: bool
) -> Verdict | None:
    """Why a call may not use this subject, to which its own leads, or None."""
    verdict = _find_denial(permissions, subject)
    if verdict is None and not is_approved:
        verdict = _unless_waived(permissions, subject.tool, _apply_rules(permissions, subject))
    return None if verdict is None or verdict.kind == "run" else verdict


def _find_denial(permissions: Permissions, subject: CallSubject) -> Verdict | None:
    return _restriction("deny", "This task forbids", permissions.disallowed, subject)


def _apply_rules(permissions: Permissions, subject: CallSubject) -> Verdict:
    asked = _restriction("ask", "This task asks before", permissions.ask, subject)
    if asked is not None:
        return asked
    rules = valid_rules(permissions.allowed)
    if rule := next((rule for rule in rules if permits(rule, subject)), None):
        return Verdict("run", f"This task allows {rule}.", str(rule))
    return Verdict("ask", _explain_not_allowed(rules, subject))


def _restriction(
    kind: Literal["ask", "deny"], verb: str, texts: Sequence[str], subject: CallSubject
) -> Verdict | None:
    rules = valid_rules(texts)
    for rule in rules:
        if restricts(rule, subject):
            return Verdict(kind, f"{verb} {rule}.{_describe_command(rule, subject)}", str(rule))
    for rule in rules:
        if unclear := may_hide_from(rule, subject):
            reason = f"{verb} {rule}, and this command line cannot be checked: {unclear}."
            return Verdict(kind, f"{reason} {ONE_COMMAND}", str(rule))
    return None


def _describe_command(rule: Rule, subject: CallSubject) -> str:
    """Which part of a longer command line the rule applies to."""
    if rule.matches_every_call or subject.line is None or subject.line.simple is not None:
        return ""
    line = subject.line
    command = find_restricted_command(rule, line)
    return f" The command line contains {command.text!r:.200}." if command else ""


def _explain_not_allowed(rules: Sequence[Rule], subject: CallSubject) -> str:
    named = [rule for rule in rules if rule.names(subject.tool)]
    line = subject.line
    if line is not None and line.simple is None:
        rule = next((rule for rule in named if restricts(rule, subject)), None)
        if rule is not None:
            found = line.construct or "a form of shell syntax that cannot be checked"
            return (
                f"{rule} allows one simple command, and this command line contains {found}. "
                f"{ONE_COMMAND}"
            )
    listed = ", ".join(map(str, named[:_LISTED_RULES]))
    return f"This task allows some uses of {subject.tool}, but not this one: {listed}."


def _unless_waived(permissions: Permissions, tool: str, decision: Verdict) -> Verdict:
    """Skip an approval if the mode allows it, or if the call itself is a question."""
    if decision.kind != "ask":
        return decision
    if tool == ASK_USER:
        return Verdict("run", "A question needs no permission.")
    mode = permissions.mode
    if mode == "bypassPermissions" or (mode == "acceptEdits" and tool in EDITS):
        return Verdict("run", f"The permission mode is {mode}.")
    return decision
