"""What tests do with executions, whether these run at Temporal or in memory."""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from domain.executions.states import ExecutionStatus
from tests.engine.storing import Turn

RunT = TypeVar("RunT", bound="ReadableRun")


class ReadableRun(ABC):
    """One execution, as it is stored."""

    @abstractmethod
    async def row(self) -> Any:
        """The execution itself."""

    @abstractmethod
    async def events(self) -> Sequence[Any]:
        """Its events, in order."""

    @abstractmethod
    async def messages(self, *, superseded: bool = False) -> Sequence[Any]:
        """Those that count, oldest first; or all there ever were."""

    @abstractmethod
    async def wait_for_end(self) -> Any:
        """Wait until it has ended; the row."""

    async def text(self) -> str:
        """The text of its result."""
        result = (await self.row()).result_data
        assert result is not None
        text: str = result["text"]
        return text

    async def event_types(self) -> list[str]:
        return [event.type for event in await self.events()]

    async def blocks(self) -> list[tuple[str, list[dict[str, Any]]]]:
        """The transcript as roles and blocks."""
        return [(m.role, json.loads(m.content)) for m in await self.messages()]

    async def results(self) -> list[dict[str, Any]]:
        """Every tool result that was sent to the model, in order."""
        return [
            block
            for role, blocks in await self.blocks()
            for block in blocks
            if role == "user" and block["type"] == "tool_result"
        ]


class Starter(ABC, Generic[RunT]):
    """Starts executions."""

    @abstractmethod
    async def start(self, *turns: Turn, **fields: Any) -> RunT:
        """Start an execution whose model follows this script."""

    async def run_to_end(self, *turns: Turn, **fields: Any) -> RunT:
        """Start an execution and wait for its end, whatever its status is then."""
        run = await self.start(*turns, **fields)
        await run.wait_for_end()
        return run

    async def run_to_completion(self, *turns: Turn, **fields: Any) -> RunT:
        """As `run_to_end`; the execution must have completed."""
        run = await self.run_to_end(*turns, **fields)
        row = await run.row()
        assert row.status == ExecutionStatus.COMPLETED, (row.error_code, row.error_message)
        return run

    async def run_to_failure(self, *turns: Turn, code: str, **fields: Any) -> RunT:
        """As `run_to_end`; the execution must have failed with this code."""
        run = await self.run_to_end(*turns, **fields)
        row = await run.row()
        assert (row.status, row.error_code) == (ExecutionStatus.FAILED, code), row.error_message
        return run
