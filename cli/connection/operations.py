"""The operations of the API by their ids.

They are in `operations.json`, which `scripts/write_operations.py` writes from the OpenAPI document.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Operation(NamedTuple):
    """The method, the path and the parameters of an operation."""

    method: str
    path: str
    query: Sequence[str]
    has_body: bool


@cache
def load_operations() -> Mapping[str, Operation]:
    """All operations by their ids."""
    text = Path(__file__).with_name("operations.json").read_text(encoding="utf-8")
    return {name: Operation(**fields) for name, fields in json.loads(text).items()}
