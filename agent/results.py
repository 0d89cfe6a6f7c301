"""What is left of a run when it has ended or stopped: its result, and the episode that is kept.

Pure functions, called by `agent.runs`.
"""

from collections.abc import Sequence

from agent.history import Wire, to_records, with_system
from agent.options import Options
from agent.state import Asked, RunContext, RunResult, Trace
from store.records import Episode, utc_now


def result_of(context: RunContext, messages: list[Wire], asked: Sequence[Asked]) -> RunResult:
    """The result of a run whose thread holds `messages` now."""
    trace = context.trace
    last = messages[-1] if messages else {"role": ""}
    answered = trace.fault is None and last["role"] == "assistant" and not last.get("tool_calls")
    return RunResult(
        version=context.model,
        answer=last["content"] if answered else "",
        messages=to_records(with_system(messages)),
        steps=trace.steps,
        models=tuple(trace.models),
        error=str(trace.fault) if trace.fault else None,
        fault=trace.fault,
        id=context.id,
        finish_reason=trace.finish_reason or "stop",
        prompt_tokens=trace.prompt_tokens,
        completion_tokens=trace.completion_tokens,
        malformed=trace.malformed,
        citations=tuple(trace.citations),
        asked=tuple(asked),
        stopped=trace.fault is None and not answered,
    )


def episode_of(result: RunResult, trace: Trace, thread: str, options: Options) -> Episode:
    """The record of a run that has ended."""
    return Episode(
        id=result.id,
        thread=thread,
        version=result.version,
        messages=result.messages,
        steps=result.steps,
        error=result.error,
        created_at=utc_now(),
        seconds=round(trace.seconds, 6),
        tokens=trace.completion_tokens,
        load=trace.load,
        tool_calls=trace.tool_calls,
        tool_errors=trace.tool_errors,
        malformed=trace.malformed,
        empty=result.error is None and not result.answer.strip(),
        citations=result.citations,
        named=options.named,
        owner=options.owner,
    )
