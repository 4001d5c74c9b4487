"""Writes values as YAML that `agent_library.documents` reads back unchanged."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from agent_library.documents import resolve_word


def write_yaml(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """YAML with the fields in their order, and texts of several lines as blocks."""
    text: str = yaml.dump(
        dict(value) if isinstance(value, Mapping) else list(value),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return text


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """A block for several lines; quotes where YAML would read something else."""
    style = "|" if "\n" in text else None
    if any(end in text for end in "\r\x85\u2028\u2029") or resolve_word(text)[0] != text:
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_float(dumper: _Dumper, number: float) -> yaml.ScalarNode:
    """The number as JSON; PyYAML regards `1e+16` as a text, which needs no quotes."""
    text = json.dumps(number)
    kind = "float" if "." in text else "str"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", text)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(float, _represent_float)
