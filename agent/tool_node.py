"""The node of the agent's graph that calls the tools which the model asked for.

Calls that a person must confirm are asked about first, all of one reply at once (agent.confirming);
until the answer comes nothing is called. It reads the run's context and streams events; it keeps
nothing itself. A tool fault is a message that the model reads.
"""

import json

from langgraph.runtime import Runtime

from agent.confirming import answers
from agent.history import Wire
from agent.state import AgentState, RunContext, ToolCalled, ToolReplied, tool_message
from agent.telemetry.calls import tool_call
from tools.base import CallContext
from tools.registry import ToolResult, arguments_of

MAX_CALLS = 8
"""Most tool calls in one reply of the model; the rest are refused."""


async def call_tools(state: AgentState, runtime: Runtime[RunContext]) -> dict[str, list[Wire]]:
    """Run the last reply's calls in their order, since one may need what an earlier one did."""
    run, write = runtime.context, runtime.stream_writer
    calls = state["messages"][-1]["tool_calls"]
    # Before any call: a node that is resumed runs again from here.
    answered = answers(run, calls[:MAX_CALLS])
    replies: list[Wire] = []
    for place, call in enumerate(calls):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        write(ToolCalled(call["id"], name, arguments))
        if place >= MAX_CALLS:
            result = _refusal(f"more than {MAX_CALLS} calls at once, call it later", retry=True)
        elif refused := answered[place].refusal:
            result = _refusal(refused, retry=False)
        else:
            confirmed = answered[place].confirmed
            context = CallContext(run.thread, run.trace.citations, confirmed)
            with tool_call(name, call["id"], known=name in run.registry.names()) as seen:
                result = await run.registry.call(name, arguments, context)
                seen.replied(ok=result.ok)
        run.trace.malformed += isinstance(arguments_of(arguments), str)
        run.trace.tool_calls += 1
        run.trace.tool_errors += not result.ok
        write(ToolReplied(call["id"], name, result.text, result.ok))
        replies.append(tool_message(call["id"], result.text))
    return {"messages": replies}


def _refusal(words: str, *, retry: bool) -> ToolResult:
    said = {"error": words} | ({} if retry else {"final": True})
    return ToolResult(json.dumps(said), ok=False, retry=retry)
