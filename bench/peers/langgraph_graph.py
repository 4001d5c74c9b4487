"""The agent loop as a graph of LangGraph: one node calls the model, the other one runs tools."""

import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

from bench.peers import agent

_client = agent.new_client()


class State(TypedDict):
    """What a checkpoint contains: the conversation."""

    messages: Annotated[list[Any], operator.add]


async def call_model(state: State) -> State:
    """One model call."""
    content = await agent.call(_client, state["messages"])
    return {"messages": [{"role": "assistant", "content": content}]}


async def run_tools(state: State) -> State:
    """The tool calls of the last response."""
    calls = agent.tool_calls(state["messages"][-1]["content"])
    results = [await agent.result(call, agent.run_tool) for call in calls]
    return {"messages": [{"role": "user", "content": results}]}


def next_node(state: State) -> str:
    """Continue with the tools until the model calls none."""
    return "run_tools" if agent.tool_calls(state["messages"][-1]["content"]) else END


builder = StateGraph(State)
builder.add_node("call_model", call_model)
builder.add_node("run_tools", run_tools)
builder.add_edge(START, "call_model")
builder.add_conditional_edges("call_model", next_node)
builder.add_edge("run_tools", "call_model")

graph = builder.compile()
