"""The execution's activities as the workflow sees them: names and types, no code behind them."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.execution import (
    CallClaudeResult,
    CreateExecutionInput,
    CreateExecutionResult,
    CreateSessionResult,
    FinishInput,
    FinishResult,
    RenderPromptResult,
    RunRef,
)


class ExecutionActivities(ABC):
    """One method each, in the order of a run. Every one of them is safe to repeat."""

    @activity.defn(name="create_execution")
    @abstractmethod
    async def create_execution(self, fire: CreateExecutionInput) -> CreateExecutionResult:
        """Make the execution of a schedule's fire. A repeat finds it, or its skip."""

    @activity.defn(name="create_session")
    @abstractmethod
    async def create_session(self, run: RunRef) -> CreateSessionResult:
        """Make the session and mark the execution running. A repeat finds both done."""

    @activity.defn(name="render_prompt")
    @abstractmethod
    async def render_prompt(self, run: RunRef) -> RenderPromptResult:
        """Write the first message and pin the prefix. A repeat finds both done."""

    @activity.defn(name="call_claude")
    @abstractmethod
    async def call_claude(self, run: RunRef) -> CallClaudeResult:
        """Move the execution forward. An attempt continues at the first step without an outcome."""

    @activity.defn(name="report")
    @abstractmethod
    async def report(self, run: RunRef) -> None:
        """Store the report if the task wants one. A repeat replaces nothing."""

    @activity.defn(name="finish")
    @abstractmethod
    async def finish(self, end: FinishInput) -> FinishResult:
        """Write the end. A repeat returns what was written."""
