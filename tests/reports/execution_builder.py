"""An execution as the loop records it, written to the tables row by row."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from definitions.tasks import SdkOptions, TaskDefinition
from domain.ids import new_id
from persistence.tables.executions import ExecutionRow
from persistence.tables.ledger import UserRow
from persistence.tables.sessions import (
    ArtifactRow,
    InputRequestRow,
    MessageRow,
    ModelCallRow,
    SessionRow,
    ToolCallRow,
)

BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=5_450)
MODEL = "claude-opus-5-5"
USAGE = {
    "input_tokens": 1_200,
    "output_tokens": 340,
    "cache_read_tokens": 5_000,
    "cache_write_5m_tokens": 800,
    "cache_write_1h_tokens": 0,
}


def definition(**changed: Any) -> dict[str, Any]:
    """The definition of a task with a report."""
    made = TaskDefinition(
        prompt_template="p",
        generate_report=True,
        report_format="html",
        sdk_options=SdkOptions(model=MODEL, max_budget_usd=Decimal(2)),
    )
    return {**made.model_dump(mode="json"), **changed}


@dataclass
class ExecutionBuilder:
    """Adds steps to one running execution; `now` is the time of the next step."""

    session: AsyncSession
    row: ExecutionRow
    now: datetime
    seq: int = 0
    turn: int = 0
    last_call_id: UUID | None = None

    async def add_message(
        self, role: str, blocks: Sequence[Mapping[str, Any]], **facts: Any
    ) -> None:
        """Add a message to the transcript."""
        self.seq += 1
        self.row.total_messages += 1
        self.session.add(
            MessageRow(
                session_id=self.row.session_id,
                execution_id=self.row.id,
                seq=self.seq,
                role=role,
                content=json.dumps(blocks),
                created_at=self.now,
                **facts,
            )
        )
        await self.session.flush()

    async def add_user_message(self, text: str) -> None:
        """Add a user message."""
        await self.add_message("user", [{"type": "text", "text": text}])

    async def add_turn(
        self,
        blocks: Sequence[Mapping[str, Any]],
        *,
        seconds: float = 2.0,
        stop_reason: str = "end_turn",
        cost: str = "0.0123",
    ) -> None:
        """Add a turn with one model call and its answer."""
        self.turn += 1
        await self.add_model_call(seconds, status="succeeded", stop_reason=stop_reason, cost=cost)
        self.row.total_turns += 1
        self.row.input_tokens += USAGE["input_tokens"]
        self.row.output_tokens += USAGE["output_tokens"]
        self.row.cache_read_tokens += USAGE["cache_read_tokens"]
        self.row.cache_write_tokens += USAGE["cache_write_5m_tokens"]
        await self.add_message("assistant", blocks, model=MODEL, stop_reason=stop_reason)

    async def add_model_call(
        self, seconds: float, *, status: str, cost: str | None = None, **facts: Any
    ) -> None:
        """Add one try of the current turn."""
        began, self.now = self.now, self.now + timedelta(seconds=seconds)
        charged = None if cost is None else Decimal(cost)
        self.session.add(
            ModelCallRow(
                execution_id=self.row.id,
                turn=self.turn,
                try_number=facts.pop("try_number", 1),
                status=status,
                model=MODEL,
                max_tokens=1000,
                last_message_seq=self.seq,
                request_sha256=b"\0" * 32,
                usage=USAGE if status == "succeeded" else None,
                cost_usd=charged,
                first_token_ms=410 if status == "succeeded" else None,
                started_at=began,
                completed_at=None if status == "intended" else self.now,
                **facts,
            )
        )
        if charged is not None:
            self.row.cost_usd += charged
        await self.session.flush()

    async def add_tool_turn(self, *calls: Mapping[str, Any], text: str = "") -> None:
        """Add a turn that requests tools, and their results. The calls run at the same time."""
        ids = [f"toolu_{self.turn + 1}_{i}" for i in range(len(calls))]
        uses = [
            {"type": "tool_use", "id": i, "name": c["name"], "input": c["input"]}
            for i, c in zip(ids, calls, strict=True)
        ]
        words = [{"type": "text", "text": text}] if text else []
        await self.add_turn([*words, *uses], stop_reason="tool_use")
        began = self.now
        for position, (used, call) in enumerate(zip(ids, calls, strict=True)):
            await self._tool_call(used, position, began, dict(call))
        self.now = began + timedelta(seconds=max(c.get("seconds", 0.4) for c in calls))
        await self.add_message(
            "user",
            [
                {
                    "type": "tool_result",
                    "tool_use_id": used,
                    "content": call.get("output", "done"),
                    **({"is_error": True} if call.get("is_error") else {}),
                }
                for used, call in zip(ids, calls, strict=True)
            ],
        )

    async def _tool_call(
        self, used: str, position: int, began: datetime, call: dict[str, Any]
    ) -> None:
        text = json.dumps(call.pop("input"))
        ended = began + timedelta(seconds=call.pop("seconds", 0.4))
        request = call.pop("request", None)
        is_error = call.get("is_error", False)
        facts = {"status": "failed" if is_error else "succeeded", "output": "done", **call}
        row = ToolCallRow(
            id=new_id(),
            execution_id=self.row.id,
            turn=self.turn,
            position=position,
            tool_use_id=used,
            input=text,
            input_sha256=hashlib.sha256(text.encode()).digest(),
            effect="read_only",
            created_at=began,
            started_at=None if request else began,
            completed_at=ended,
            **facts,
        )
        self.last_call_id = row.id
        self.row.total_tool_calls += 1
        self.session.add(row)
        await self.session.flush()
        if request is not None:
            await self.add_input_request(
                tool_call_id=row.id, created_at=began, answered_at=ended, **request
            )

    async def add_input_request(self, **facts: Any) -> None:
        """Add a request to a person."""
        self.session.add(
            InputRequestRow(
                execution_id=self.row.id,
                user_id=self.row.user_id,
                **{"kind": "question", "status": "answered", "on_expiry": "wait", **facts},
            )
        )
        await self.session.flush()

    async def add_file(self, name: str, size_bytes: int, sha256: str = "0" * 64) -> None:
        """Add a file that the last tool call saved."""
        self.session.add(
            ArtifactRow(
                user_id=self.row.user_id,
                execution_id=self.row.id,
                tool_call_id=self.last_call_id,
                kind="artifact",
                name=name,
                media_type="text/markdown",
                size_bytes=size_bytes,
                sha256=sha256,
            )
        )
        await self.session.flush()

    async def add_answer(self, text: str) -> None:
        """Add the final answer."""
        await self.add_turn([{"type": "text", "text": text}])
        self.row.result_data = {"text": text}
        self.row.summary = text[:200]
        await self.session.flush()

    async def add_subtask(self, title: str, *, seconds: float, status: str = "completed") -> None:
        """Add an execution that the last tool call started and that has ended."""
        child = _execution(self.row.user_id, title=title, status=status)
        child.parent_execution_id = self.row.id
        child.parent_tool_call_id = self.last_call_id
        child.cost_usd = Decimal("0.04")
        child.created_at = child.started_at = self.now + timedelta(seconds=2)
        child.completed_at = child.started_at + timedelta(seconds=seconds)
        self.session.add(child)
        await self.session.flush()


async def start_execution(
    session: AsyncSession, *, user_id: UUID | None = None, **facts: Any
) -> ExecutionBuilder:
    """Write a running execution without steps, of this user or a new one."""
    if user_id is None:
        user = UserRow(subject=f"alice-{new_id().hex[-6:]}", role="user")
        session.add(user)
        await session.flush()
        user_id = user.id
    conversation = SessionRow(user_id=user_id, name="Task: t (manual)")
    session.add(conversation)
    row = _execution(user_id, **{"definition": definition(), **facts})
    await session.flush()
    row.session_id = conversation.id
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return ExecutionBuilder(session, row, BEGAN)


def _execution(user_id: UUID, **facts: Any) -> ExecutionRow:
    execution_id = new_id()
    return ExecutionRow(
        **{
            "id": execution_id,
            "user_id": user_id,
            "title": "Nightly check of the orders",
            "trigger_type": "manual",
            "status": "running",
            "priority": 5,
            "workflow_id": f"execution-{execution_id}",
            "created_at": BEGAN - timedelta(seconds=1),
            "started_at": BEGAN,
            **facts,
        }
    )
