"""The activities of an execution as its workflow calls them: names and types without code."""

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
    WorkerState,
)


class ExecutionActivities(ABC):
    """The activities in the order of a run. Each of them is safe to repeat."""

    @activity.defn(name="create_execution")
    @abstractmethod
    async def create_execution(self, given: CreateExecutionInput) -> CreateExecutionResult:
        """Create the execution of a scheduled run, or record its skip. A repeat changes nothing."""

    @activity.defn(name="create_session")
    @abstractmethod
    async def create_session(self, run: RunRef) -> CreateSessionResult:
        """Create the session and mark the execution as running. A repeat changes nothing."""

    @activity.defn(name="render_prompt")
    @abstractmethod
    async def render_prompt(self, run: RunRef) -> RenderPromptResult:
        """Write the first message and pin the model input. A repeat changes nothing."""

    @activity.defn(name="check_worker")
    @abstractmethod
    async def check_worker(self, run: RunRef) -> WorkerState:
        """Read whether an external execution has to finish. A repeat changes nothing."""

    @activity.defn(name="call_claude")
    @abstractmethod
    async def call_claude(self, run: RunRef) -> CallClaudeResult:
        """Call Claude and run its tools. A repeat continues at the first unfinished step."""

    @activity.defn(name="report")
    @abstractmethod
    async def report(self, run: RunRef) -> None:
        """Store the report, if the task wants one. A repeat changes nothing."""

    @activity.defn(name="finish")
    @abstractmethod
    async def finish(self, given: FinishInput) -> FinishResult:
        """Write the terminal status. A repeat returns the status that was written."""
