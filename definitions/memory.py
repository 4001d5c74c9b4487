"""Namespaces and keys of memory entries as fields of models."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.memory.entries import (
    KEY,
    LONGEST_KEY,
    LONGEST_NAMESPACE,
    NAMESPACE,
    key_problem,
    namespace_problem,
)


def _make_validator(find_problem: Callable[[str], str | None]) -> Callable[[str], str]:
    def check(value: str) -> str:
        if problem := find_problem(value):
            raise ValueError(problem)
        return value

    return check


Namespace = Annotated[
    str,
    Field(max_length=LONGEST_NAMESPACE, json_schema_extra={"pattern": NAMESPACE}),
    AfterValidator(_make_validator(namespace_problem)),
]
Key = Annotated[
    str,
    Field(max_length=LONGEST_KEY, json_schema_extra={"pattern": KEY}),
    AfterValidator(_make_validator(key_problem)),
]
