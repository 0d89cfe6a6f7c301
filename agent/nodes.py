"""The node of the agent's graph that asks the model. One step of a run.

It reads the run's context and streams events; it keeps nothing itself. An engine fault ends the run
and stays in its trace. What the model calls is run by agent.tool_node.
"""

import json
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Literal, cast

from langgraph.runtime import Runtime
from langgraph.types import Command, StreamWriter

from agent.engine import Reply, Sampling
from agent.engine_errors import too_long
from agent.history import Wire
from agent.memory import View
from agent.state import AgentState, RunContext, Token, tool_message
from agent.telemetry.calls import model_call
from agent.unread_calls import CALL_MARK, UNREAD, Shown
from store.errors import EngineError, EngineRefused

Next = Literal["model", "tools", "__end__"]


async def call_model(state: AgentState, runtime: Runtime[RunContext]) -> Command[Next]:
    """Ask the pinned version. The last step of a run is asked without tools, so that it answers."""
    run, trace = runtime.context, runtime.context.trace
    trace.steps += 1
    last = trace.steps >= run.max_steps
    began = time.monotonic()
    try:
        view = View(state["messages"], state.get("memory"))
        reply, last = await _ask_in_form(run, view, last, runtime.stream_writer)
    except EngineError as error:
        trace.fault = error
        return Command(goto="__end__")
    finally:
        trace.seconds += time.monotonic() - began
    trace.add(reply)
    said: Wire = {"id": _message_id(run), "role": "assistant", "content": reply.content}
    if last or not run.tools:
        if CALL_MARK in reply.content and _hides_calls(run):
            trace.malformed += 1
            said["content"] = _without_call(run, reply.content, runtime.stream_writer)
        # A call that nobody may make must not stay behind: it would lack its result for ever.
        return Command(update=_update(run, said), goto="__end__")
    if reply.tool_calls:
        said["tool_calls"] = [
            {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments}}
            for c in reply.tool_calls
        ]
        return Command(update=_update(run, said), goto="tools")
    if CALL_MARK in reply.content:
        trace.malformed += 1
        wrong = json.dumps({"error": "the tool call is not JSON, write it again"})
        told = tool_message(f"malformed-{trace.steps}", wrong)
        return Command(update=_update(run, said, told), goto="model")
    return Command(update=_update(run, said), goto="__end__")


async def _ask_in_form(
    run: RunContext, view: View, last: bool, write: StreamWriter
) -> tuple[Reply, bool]:
    """One reply, and whether it ends the run. An answer whose form is prescribed is asked for again
    without tools: held to a form from its first token, the model could call none."""
    if run.answer_format and run.tools and not last:
        reply = await _ask_fitting(run, view, False, lambda _: None)
        if reply.tool_calls or CALL_MARK in reply.content:
            return reply, False
        run.trace.add(reply)
        last = True
    return await _ask_fitting(run, view, last, write), last


async def _ask_fitting(run: RunContext, view: View, last: bool, write: StreamWriter) -> Reply:
    """One reply; of a thread that outgrew the model's context the oldest part is left out."""
    tools = None if last else run.tools
    await view.fit(run, tools)
    while True:
        shown = view.shown()
        try:
            reply = await _ask(run, shown, tools, write)
        except EngineRefused as error:
            if not (too_long(error) and view.shorten()):
                raise
            continue
        run.window.saw(shown, tools, reply.prompt_tokens)
        return reply


async def _ask(
    run: RunContext, messages: list[Wire], tools: list[Wire] | None, write: StreamWriter
) -> Reply:
    sampling: Sampling = run.sampling
    if run.answer_format and not tools:
        sampling = {**sampling, "response_format": run.answer_format}
    with model_call(run.model, run.max_tokens, sampling, streaming=run.streaming) as seen:
        if run.streaming:
            reply = await _streamed(run, messages, tools, sampling, write, seen.wrote)
        else:
            reply = await run.engine.chat(
                run.model, messages, tools, max_tokens=run.max_tokens, **sampling
            )
        tokens = (reply.prompt_tokens, reply.completion_tokens)
        seen.replied(reply.model, reply.finish_reason, *tokens)
    return reply


async def _streamed(
    run: RunContext, messages: list[Wire], tools: list[Wire] | None, sampling: Sampling,
    write: StreamWriter, wrote: Callable[[], None],
) -> Reply:  # fmt: skip
    """The whole reply, its text streamed as it comes; `wrote` is told of every piece."""
    pieces = run.engine.chat_stream(
        run.model, messages, tools, max_tokens=run.max_tokens, **sampling
    )
    piece: Any = None
    shown = Shown() if _hides_calls(run) else None
    async with aclosing(pieces):
        async for piece in pieces:
            if isinstance(piece, Reply) or not piece.text:
                continue
            wrote()
            if text := shown.feed(piece.text) if shown else piece.text:
                write(Token(text, message=_message_id(run)))
    if shown and (text := shown.rest()):
        write(Token(text, message=_message_id(run)))
    # The engine's client ends every stream that did not fail with the whole reply.
    return cast(Reply, piece)


def _hides_calls(run: RunContext) -> bool:
    """Whether the mark of a call in the text is a call: where tools were never offered, or a form
    is prescribed, it is text like any other."""
    return bool(run.tools) and not run.answer_format


def _without_call(run: RunContext, content: str, write: StreamWriter) -> str:
    """The answer beside a call that could not be read, in place of nothing a word about it."""
    said = content.partition(CALL_MARK)[0]
    if said.strip():
        return said
    if run.streaming:
        write(Token(UNREAD, message=_message_id(run)))
    return said + UNREAD


def _update(run: RunContext, *messages: Wire) -> dict[str, Any]:
    """What the thread keeps of the step."""
    memory = {"memory": run.trace.memory} if run.trace.memory else {}
    return {"messages": list(messages), **memory}


def _message_id(run: RunContext) -> str:
    """The same for a message and its pieces: clients put them together by it."""
    return f"{run.id}-{run.trace.steps}"
