"""A pydantic-ai agent and its workflow, laid out as its documentation has it: at the top level."""

from typing import Any

from pydantic_ai import Agent
from pydantic_ai.durable_exec.temporal import PydanticAIWorkflow, TemporalDurability
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from bench.peers import agent as shared

agent: Agent[None, str] = Agent(
    AnthropicModel(shared.MODEL, provider=AnthropicProvider(anthropic_client=shared.new_client())),
    name="bench",
    model_settings={"max_tokens": shared.MAX_TOKENS},
    capabilities=[TemporalDurability()],
)


@agent.tool_plain
async def list_files() -> str:
    """List the files of the workspace."""
    return await shared.run_tool("list_files")


@workflow.defn
class PydanticAIAgent(PydanticAIWorkflow):
    """The agent's run as a workflow."""

    __pydantic_ai_agents__: Any = [agent]  # noqa: RUF012 - its base class declares it so

    @workflow.run
    async def run(self, prompt: str) -> str:
        """From the prompt to the final answer."""
        result = await agent.run(prompt)
        return result.output
