"""Maps agent files to our fields, with the tool and model names that coding agents use.

What a file restricts is never dropped: a key that restricts and can't be read refuses the file.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.agents.agent import MODEL_ON_IMPORT, slug_of
from domain.rules.entries import Rule, parse
from domain.rules.permissions import KNOWN_TOOLS, rule_from_agent_file
from domain.rules.problems import problems

_SPELLINGS = {
    "name": "name",
    "agent_id": "agentid",
    "description": "description",
    "executor": "executor",
    "network": "network",
    "memory": "memory",
    "capabilities": "capabilities",
    "tags": "tags",
    "model": "model",
    "tools": "tools tool allowedtools allowedtool enabledtools",
    "denied": "disallowedtools disallowedtool deniedtools disabledtools excludedtools excludetools",
    "read_only": "readonly",
    "mode": "permissionmode",
    "hooks": "hooks",
}
_WITHOUT_MEANING = frozenset(
    key
    for keys in (
        "color colour icon emoji version author license homepage repository category metadata",
        "date created updated argumenthint disablemodelinvocation userinvocable skills mcpservers",
        "background isolation maxturns effort temperature topp thinking reasoningeffort",
        "mode initialprompt hidden disabled prompt priority examples usage trigger triggers",
        "keywords domain type scope whentouse",
    )
    for key in keys.split()
)
"""Keys of coding agents that neither restrict an agent nor have a meaning here."""

_FIELDS = {key: field for field, keys in _SPELLINGS.items() for key in keys.split()}
"""Keys without case, spaces, `-` and `_`, and what they mean."""

_LITERAL_FIELDS = ("description", "executor", "network", "memory")
"""Fields that need no translation."""

_FIELD_LIST = (
    "name, description, model, tools, disallowedTools, capabilities, tags, executor, "
    "network and memory"
)

_RESTRICTION = re.compile(
    r"tool|permi|allow|den(y|ied)|forbid|restrict|readonly|sandbox|block|whitelist|exclude|approv"
)
"""In a key that may restrict what the agent does."""

_RESTRICTING_HOOKS = frozenset({"PreToolUse", "PermissionRequest"})
_NOTHING = frozenset({"", "null", "~"})
_EVERY_TOOL = frozenset({"*", "all", "all tools"})
_READING_TOOLS = frozenset({"read_file", "list_files", "search_files", "ask_user", "web_fetch"})
_TOOL = re.compile(r"[^\s,()]+(?:\([^)]*\)?)?|\([^)]*\)?")


class UnreadableFieldError(ValueError):
    """A field of an agent file can't be understood, and ignoring it could widen the agent."""

    def __init__(self, key: str, message: str) -> None:
        """`key` is the field as the file spells it."""
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class AgentFile:
    """The agent as a request body, and what the file says that has no meaning here.

    `fields` has the field of the body for each key of the file that has one.
    """

    body: Mapping[str, Any]
    ignored: tuple[str, ...]
    fields: Mapping[str, str]


def field_of(key: str) -> str | None:
    """What a key of an agent file means, in whatever spelling: `Allowed-Tools` means `tools`."""
    return _FIELDS.get(_plain(key))


def restricts(key: str) -> bool:
    """Whether a key looks as if it restricted the agent."""
    return _RESTRICTION.search(_plain(key)) is not None


def _plain(key: str) -> str:
    return re.sub(r"[-_ ]", "", key).lower()


def read(metadata: Mapping[str, Any], text: str, *, is_strict: bool) -> AgentFile:
    """Read an agent from a file's front matter, whose words are texts, and the text below it.

    If strict, unknown keys are refused: this is not possible in a file whose lines of text may look
    like keys. The body is not validated yet. Without a list of tools the agent has all built-in
    ones, as is usual for such files; a list without a value is an empty one.

    Raises:
        UnreadableFieldError: a field that restricts the agent can't be read, or is unknown.
    """
    keys = _keys_by_field(metadata)
    ignored = [key for key in metadata if field_of(key) is None]
    if is_strict:
        _require_known(ignored)
    fields = {field: metadata[key] for field, key in keys.items()}
    ignored += _list_ignored_modes(keys, fields)
    body: dict[str, Any] = {f: fields[f] for f in _LITERAL_FIELDS if f in fields}
    if not isinstance(body.get("memory"), Mapping):
        body.pop("memory", None)  # coding agents name the scope of their own memory
    body |= {f: _split_list(fields[f]) for f in ("capabilities", "tags") if f in fields}
    slug = fields.get("agent_id", fields.get("name"))
    tools, unknown = _choose_tools(keys, fields)
    return AgentFile(
        {
            **body,
            "agent_id": slug_of(slug) if isinstance(slug, str) else slug,
            "name": fields.get("name"),
            "system_prompt": text,
            "model": _model(fields.get("model")),
            "allowed_tools": tools,
        },
        (*sorted(ignored), *unknown),
        {key: "allowed_tools" if field == "tools" else field for field, key in keys.items()},
    )


def _keys_by_field(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The key of each field; refuses two keys for one field, and unknown keys that restrict."""
    keys: dict[str, str] = {}
    for key, value in metadata.items():
        field = field_of(key)
        if field is not None and field in keys:
            raise UnreadableFieldError(key, f"{keys[field]!r} says the same; keep one of them.")
        if field is not None:
            keys[field] = key
        elif restricts(key) and value not in ("", [], {}):
            raise UnreadableFieldError(
                key,
                f"{key!r} may restrict the agent, but it is not supported; write the tools that "
                "the agent may use as `tools: Read, Bash(git:*)`, and remove this field.",
            )
    return keys


def _require_known(keys: Sequence[str]) -> None:
    """Refuse a key that coding agents don't use: it may be misspelt."""
    for key in keys:
        plain = _plain(key)
        if plain not in _WITHOUT_MEANING and not restricts(key):
            alike = difflib.get_close_matches(plain, _FIELDS, 1)
            hint = f"Did you mean {alike[0]!r}?" if alike else f"Fields are {_FIELD_LIST}."
            raise UnreadableFieldError(key, f"There is no field {key!r}. {hint}")


def _choose_tools(
    keys: Mapping[str, str], fields: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
    """The rules of the agent's tools, and the names that have no meaning here."""
    unknown: list[str] = []
    rules = _read_tools(keys, fields, unknown)
    if "denied" in fields:
        rules = list(_without_denied(rules, keys["denied"], fields["denied"], unknown))
    if _is_read_only(keys, fields):
        rules = [rule for rule in rules if _tool_of(rule) in _READING_TOOLS]
    _check_hooks(keys, fields)
    return rules, unknown


def _read_tools(
    keys: Mapping[str, str], fields: Mapping[str, Any], unknown: list[str]
) -> list[str]:
    if "tools" not in fields:
        return sorted(KNOWN_TOOLS)
    key, value = keys["tools"], fields["tools"]
    if isinstance(value, Mapping):
        return _read_switches(key, value, unknown)
    names = _tool_names(key, value)
    if any(name.lower() in _EVERY_TOOL for name in names):
        return sorted(KNOWN_TOOLS)
    ours = dict.fromkeys(rule_from_agent_file(name) for name in names)
    wrong = {rule for rule in ours if problems([rule])}
    unknown += [f"{key}: {rule}" for rule in sorted(wrong)]
    return [rule for rule in ours if rule not in wrong]


def _read_switches(key: str, switches: Mapping[str, Any], unknown: list[str]) -> list[str]:
    """Tools that are switched on and off by name: all others stay on, unless `*` is off."""
    states = {name: str(state).lower() for name, state in switches.items()}
    if any(state not in {"true", "false"} for state in states.values()):
        raise UnreadableFieldError(key, f"Write true or false for each tool in {key!r}.")
    is_on = {rule_from_agent_file(name): state == "true" for name, state in states.items()}
    default = is_on.pop("*", True)
    off_rules = [Rule(name) for name, state in is_on.items() if not state]
    unknown += [f"{key}: {name}" for name in sorted(is_on.keys() - KNOWN_TOOLS)]
    off = {tool for rule in off_rules for tool in KNOWN_TOOLS if rule.restricts_tool(tool)}
    return sorted(tool for tool in KNOWN_TOOLS - off if is_on.get(tool, default))


def _without_denied(rules: list[str], key: str, value: Any, unknown: list[str]) -> Iterator[str]:
    """The rules for tools that are not denied.

    Raises:
        UnreadableFieldError: an entry denies some uses of a tool, which an agent can't express.
    """
    expanded = [one for rule in rules for one in _expand(rule)]
    denied: list[Rule] = []
    for name in _tool_names(key, value):
        rule = parse(rule_from_agent_file(name))
        is_mcp = rule is not None and rule.tool.startswith("mcp__")
        if rule is None or (rule.argument is not None and _reaches(rule, expanded)):
            is_kept = False
        else:
            is_kept = not (is_mcp and any(one.startswith("mcp__") for one in expanded))
        if rule is None or not is_kept:
            raise UnreadableFieldError(
                key,
                f"{key!r} with {name!r} can't be kept: an agent can only deny whole tools. "
                "List the uses that it may have in `tools` instead.",
            )
        denied.append(rule)
        if not any(rule.names(tool) for tool in KNOWN_TOOLS):
            unknown.append(f"{key}: {name}")
    yield from (rule for rule in expanded if not any(_reaches(one, [rule]) for one in denied))


def _expand(rule: str) -> Iterator[str]:
    """A rule whose tool has wildcards, as one rule for each built-in tool."""
    tool, bracket, argument = rule.partition("(")
    parsed = parse(tool)
    if parsed is None or "*" not in tool or tool.startswith("mcp__"):
        yield rule
    else:
        yield from (f"{one}{bracket}{argument}" for one in sorted(KNOWN_TOOLS) if parsed.names(one))


def _reaches(denied: Rule, rules: list[str]) -> bool:
    return any(denied.restricts_tool(_tool_of(rule)) for rule in rules)


def _is_read_only(keys: Mapping[str, str], fields: Mapping[str, Any]) -> bool:
    value = fields.get("read_only", "false")
    state = str(value).lower()
    if state not in {"true", "false"}:
        raise UnreadableFieldError(keys["read_only"], "Write true or false.")
    return state == "true" or str(fields.get("mode")).lower() == "plan"


def _check_hooks(keys: Mapping[str, str], fields: Mapping[str, Any]) -> None:
    hooks = fields.get("hooks")
    found = _RESTRICTING_HOOKS & hooks.keys() if isinstance(hooks, Mapping) else set()
    if found:
        raise UnreadableFieldError(
            keys["hooks"],
            f"The hook {min(found)} may refuse calls, and hooks are not supported; remove it, and "
            "list what the agent may use in `tools`.",
        )


def _list_ignored_modes(keys: Mapping[str, str], fields: Mapping[str, Any]) -> Iterator[str]:
    """Fields that are read only for what they restrict, or that mean another memory."""
    if "memory" in fields and not isinstance(fields["memory"], Mapping):
        yield keys["memory"]
    if "hooks" in fields:
        yield keys["hooks"]
    if "mode" in fields and str(fields["mode"]).lower() != "plan":
        yield keys["mode"]


def _tool_names(key: str, value: Any) -> list[str]:
    """The names in a text with commas or spaces, or in a list of texts."""
    if isinstance(value, str) and value.strip().lower() in _NOTHING | _EVERY_TOOL:
        return [] if value.strip().lower() in _NOTHING else ["*"]
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise UnreadableFieldError(key, f"Write {key!r} as a list of names: `{key}: Read, Grep`.")
    return [name for item in items for name in _TOOL.findall(item)]


def _tool_of(rule: str) -> str:
    return rule.partition("(")[0]


def _model(name: Any) -> Any:
    if not isinstance(name, str) or name.strip().lower() in _NOTHING:
        return None if isinstance(name, str) else name
    return MODEL_ON_IMPORT.get(name.lower(), name)


def _split_list(value: Any) -> Any:
    """A text with commas as a list."""
    if not isinstance(value, str):
        return value
    parts: Sequence[str] = [] if value.strip().lower() in _NOTHING else value.split(",")
    return [part.strip() for part in parts if part.strip()]
