"""The memory tools as they are described to the model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from domain.memory.entries import (
    LONGEST_KEY,
    LONGEST_NAMESPACE,
    LONGEST_QUERY,
    MOST_FOUND,
    MOST_VALUE_BYTES,
    MemoryAccess,
    MemoryType,
)
from domain.rules.entries import MEMORY_FILES, MEMORY_TOOLS
from domain.tools.calls import ToolEffect, ToolSpec
from domain.tools.schemas import make_spec, text_field, whole_field

_ENTRY = {
    "namespace": text_field("Such as user:alice or project:x.", longest=LONGEST_NAMESPACE),
    "key": text_field("The name of the entry.", longest=LONGEST_KEY),
}
_VALUE = {"description": "Text, or any other JSON value but null."}
_TYPE = {
    "enum": [str(kind) for kind in MemoryType],
    "description": "semantic: facts; episodic: events, which expire; procedural: how-to.",
}

_GET = make_spec(
    "memory_get",
    ToolEffect.READ_ONLY,
    "Read one entry of the memory that outlives this conversation. For a long value the result is "
    "a part, with the offset at which to continue. Use memory_search if you don't know the key.",
    {
        **_ENTRY,
        "version": whole_field("An earlier version; the present one by default.", most=2**31 - 1),
        "offset": whole_field(
            "How many characters of the value to leave out at the start; 0 by default.",
            least=0,
            most=1_000_000_000,
        ),
    },
    ("namespace", "key"),
)

_SEARCH = make_spec(
    "memory_search",
    ToolEffect.READ_ONLY,
    "Find entries of the memory by words (best first), or list them (newest first), each with the "
    "beginning of its value. namespace_prefix limits the search to a namespace and those below it.",
    {
        "q": text_field(
            'Words, "a phrase", `or` and `-` as in web searches; without it, entries are listed.',
            longest=LONGEST_QUERY,
        ),
        "namespace_prefix": text_field(
            "A namespace with those below it; by default all that you may use.",
            longest=LONGEST_NAMESPACE,
        ),
        "memory_type": _TYPE,
        "limit": whole_field("How many entries; 20 by default.", most=MOST_FOUND),
    },
)

_ADD = make_spec(
    "memory_add",
    ToolEffect.IDEMPOTENT,
    "Store a new entry in the memory that outlives this conversation. Refused if the entry exists: "
    "then use memory_update.",
    {**_ENTRY, "value": _VALUE, "memory_type": _TYPE},
    ("namespace", "key", "value"),
)

_UPDATE = make_spec(
    "memory_update",
    ToolEffect.IDEMPOTENT,
    "Replace the value of an entry of the memory. Send expected_version, the version that you "
    "read, so that you overwrite nothing that someone else has written meanwhile. Refused if the "
    "entry does not exist: then use memory_add.",
    {
        **_ENTRY,
        "value": {"description": "The whole new value."},
        "expected_version": whole_field("The version that you read.", most=2**31 - 1),
    },
    ("namespace", "key", "value"),
)

_DELETE = make_spec(
    "memory_delete",
    ToolEffect.IDEMPOTENT,
    "Delete an entry of the memory. Earlier versions stay readable with memory_get.",
    _ENTRY,
    ("namespace", "key"),
)

_COMMANDS: Mapping[str, Sequence[str]] = {
    "view": ("path",),
    "create": ("path", "file_text"),
    "str_replace": ("path", "old_str", "new_str"),
    "insert": ("path", "insert_line", "insert_text"),
    "delete": ("path",),
    "rename": ("old_path", "new_path"),
}
"""The commands of Claude's own tool, each with the fields that it needs."""

_PATH = text_field("Starts with /memories.", longest=LONGEST_KEY + len("/memories/"))

_FILES = ToolSpec(
    MEMORY_FILES,
    "Files that outlive this conversation, below /memories: view, create, str_replace, insert, "
    "delete and rename.",
    {
        "type": "object",
        "properties": {
            "command": {"enum": list(_COMMANDS)},
            **dict.fromkeys(("path", "old_path", "new_path"), _PATH),
            "view_range": {
                "type": ["array", "null"],
                "items": {"type": "integer"},
                "minItems": 2,
                "maxItems": 2,
            },
            **{
                name: text_field("A text.", longest=MOST_VALUE_BYTES, shortest=least)
                for name, least in (
                    ("file_text", 0),
                    ("old_str", 1),
                    ("new_str", 0),
                    ("insert_text", 0),
                )
            },
            "insert_line": {"type": "integer", "description": "0 is the start of the file."},
        },
        "required": ["command"],
        "allOf": [
            {"if": {"properties": {"command": {"const": name}}}, "then": {"required": list(needed)}}
            for name, needed in _COMMANDS.items()
        ],
    },
    ToolEffect.IDEMPOTENT,
    known_type="memory_20250818",
)

MEMORY_SPECS: Sequence[ToolSpec] = (_GET, _SEARCH, _ADD, _UPDATE, _DELETE, _FILES)


def is_file_read(tool: str, tool_input: object) -> bool:
    """Whether a call of Claude's own memory tool changes nothing."""
    if tool != MEMORY_FILES or not isinstance(tool_input, Mapping):
        return False
    return tool_input.get("command") == "view"


def with_memory(spec: ToolSpec, memory: MemoryAccess) -> ToolSpec:
    """Return the tool as it is described to a model that may use these namespaces."""
    if spec.name not in MEMORY_TOOLS or not memory:
        return spec
    text = f"{spec.description} The namespaces, with those below them: {memory.describe()}."
    return replace(spec, description=text)
