"""Evaluation of JSON Schemas from users: its limits, and what it finds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

MAX_SCHEMA_BYTES = 256 * 1024
"""Of a schema as JSON: some hundred times what real ones have (chosen)."""

MAX_EVALUATION_SECONDS = 0.25
"""Processor time of one evaluation; real ones take milliseconds (chosen)."""

EVALUATOR_READY = b"ready\n"
"""Printed by the process that evaluates schemas once it reads requests."""

TOO_EXPENSIVE = (
    f"Evaluating the schema takes more than {MAX_EVALUATION_SECONDS:g} s of processor time or too "
    "much memory; simplify its references and patterns."
)


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """Where a value does not match, or where a schema is invalid, and why."""

    path: tuple[str | int, ...]
    msg: str


class SchemaEvaluator(Protocol):
    """Evaluates schemas outside the event loop (`runtime/schema_evaluation.py`).

    Raises `RateLimitedError` if the user's evaluations took too much time.
    """

    async def schema_problems(
        self, user_id: UUID, schema: Mapping[str, Any]
    ) -> Sequence[SchemaProblem]:
        """Why the schema can't be used."""
        ...

    async def value_problems(
        self, user_id: UUID, schema: Mapping[str, Any], value: Any
    ) -> Sequence[SchemaProblem]:
        """Why the value does not match the schema."""
        ...
