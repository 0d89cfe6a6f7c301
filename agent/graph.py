"""The agent as a LangGraph graph: model -> tools -> model -> ... -> end.

    start -> model --tool calls--> tools
               ^  \\--answer------> end
               \\-------------------/

Holds no run and no settings: those come with each run as its context (agent.state.RunContext).
Called by `agent.runs`, once per process and checkpointer.
"""

from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent.nodes import call_model
from agent.state import AgentState, RunContext
from agent.telemetry.runs import in_run
from agent.tool_node import call_tools

Graph = CompiledStateGraph[AgentState, RunContext, AgentState, AgentState]


def build_graph(checkpointer: BaseCheckpointSaver[Any] | None = None) -> Graph:
    """Compile the graph; with a checkpointer its threads are kept."""
    graph = StateGraph(AgentState, context_schema=RunContext)
    graph.add_node("model", in_run(call_model))
    graph.add_node("tools", in_run(call_tools))
    graph.add_edge(START, "model")
    graph.add_edge("tools", "model")
    return graph.compile(checkpointer=checkpointer, name="perennial")
