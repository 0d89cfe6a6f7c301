"""The two nodes of the agent's graph: ask the model, call its tools. Each is one step of a run.

They read the run's context and stream events; they keep nothing themselves. An engine fault ends
the run and stays in its trace; a tool fault is a message that the model reads.
"""

import json
import time
from contextlib import aclosing
from typing import Any, Literal, cast

from langgraph.runtime import Runtime
from langgraph.types import Command, StreamWriter

from agent.engine import Reply
from agent.engine_errors import too_long
from agent.history import Wire, shortened, with_system
from agent.state import AgentState, RunContext, Token, ToolCalled, ToolReplied, tool_message
from store.errors import EngineError, EngineRefused
from tools.base import CallContext
from tools.registry import ToolResult

TOOL_TIMEOUT_S = 30.0
TOOL_MAX_CHARS = 2000
"""Most characters of one tool's reply."""
MAX_CALLS = 8
"""Most tool calls in one reply of the model; the rest are refused."""
CALL_MARK = "<tool_call>"
"""What the engine's parser leaves in the text of a call that it could not read."""

Next = Literal["model", "tools", "__end__"]


async def call_model(state: AgentState, runtime: Runtime[RunContext]) -> Command[Next]:
    """Ask the pinned version. The last step of a run is asked without tools, so that it answers."""
    run, trace = runtime.context, runtime.context.trace
    trace.steps += 1
    last = trace.steps >= run.max_steps
    began = time.monotonic()
    try:
        reply = await _ask_fitting(run, state["messages"], last, runtime.stream_writer)
    except EngineError as error:
        trace.fault = error
        return Command(goto="__end__")
    finally:
        trace.seconds += time.monotonic() - began
    trace.add(reply)
    said: Wire = {"role": "assistant", "content": reply.content}
    if last or not run.tools:
        # A call that nobody may make must not stay behind: it would lack its result for ever.
        return Command(update={"messages": [said]}, goto="__end__")
    if reply.tool_calls:
        said["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in reply.tool_calls
        ]
        return Command(update={"messages": [said]}, goto="tools")
    if CALL_MARK in reply.content:
        trace.malformed += 1
        wrong = json.dumps({"error": "the tool call is not JSON, write it again"})
        update = {"messages": [said, tool_message(f"malformed-{trace.steps}", wrong)]}
        return Command(update=update, goto="model")
    return Command(update={"messages": [said]}, goto="__end__")


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


async def _ask_fitting(
    run: RunContext, messages: list[Wire], last: bool, write: StreamWriter
) -> Reply:
    """One reply; of a thread that outgrew the model's context the oldest part is left out."""
    shown = with_system(messages)
    while True:
        try:
            return await _ask(run, shown, None if last else run.tools, write)
        except EngineRefused as error:
            shorter = shortened(shown) if too_long(error) else None
            if shorter is None:
                raise
            shown = shorter


async def _ask(
    run: RunContext, messages: list[Wire], tools: list[Wire] | None, write: StreamWriter
) -> Reply:
    if not run.streaming:
        return await run.engine.chat(
            run.model, messages, tools, max_tokens=run.max_tokens, **run.sampling
        )
    pieces = run.engine.chat_stream(
        run.model, messages, tools, max_tokens=run.max_tokens, **run.sampling
    )
    piece: Any = None
    async with aclosing(pieces):
        async for piece in pieces:
            if not isinstance(piece, Reply) and piece.text:
                write(Token(piece.text))
    # The engine's client ends every stream that did not fail with the whole reply.
    return cast(Reply, piece)


def _is_object(arguments: str) -> bool:
    try:
        return isinstance(json.loads(arguments or "{}"), dict)
    except (ValueError, RecursionError):
        return False
