"""The node of the agent's graph that calls the tools which the model asked for.

It reads the run's context and streams events; it keeps nothing itself. A tool fault is a message
that the model reads.
"""

import json

from langgraph.runtime import Runtime

from agent.history import Wire
from agent.state import AgentState, RunContext, ToolCalled, ToolReplied, tool_message
from tools.base import CallContext
from tools.registry import ToolResult

TOOL_TIMEOUT_S = 30.0
TOOL_MAX_CHARS = 2000
"""Most characters of one tool's reply."""
MAX_CALLS = 8
"""Most tool calls in one reply of the model; the rest are refused."""


async def call_tools(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, list[Wire]]:
    """Run the last reply's calls in their order, since one may need what an earlier one did."""
    run, write = runtime.context, runtime.stream_writer
    replies: list[Wire] = []
    for place, call in enumerate(state["messages"][-1]["tool_calls"]):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        write(ToolCalled(call["id"], name, arguments))
        if place < MAX_CALLS:
            result = await run.registry.call(
                name,
                arguments,
                CallContext(run.thread, run.trace.citations),
                TOOL_TIMEOUT_S,
                TOOL_MAX_CHARS,
            )
        else:
            words = json.dumps({"error": f"more than {MAX_CALLS} calls at once, call it later"})
            result = ToolResult(words, ok=False, retry=True)
        run.trace.malformed += not _is_object(arguments)
        run.trace.tool_calls += 1
        run.trace.tool_errors += not result.ok
        write(ToolReplied(call["id"], name, result.text, result.ok))
        replies.append(tool_message(call["id"], result.text))
    return {"messages": replies}


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        return False
