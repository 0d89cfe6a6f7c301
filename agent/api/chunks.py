"""A run in OpenAI's shapes: one whole completion, or the chunks of a stream.

What the agent did with tools goes along in an extra field `perennial`, which OpenAI's clients pass
over. Sends nothing; used by `agent.api.openai`.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from agent.api.errors import api_error
from agent.state import Done, Event, RunResult, Token, ToolCalled, ToolReplied
from store.errors import PerennialError

Json = dict[str, Any]
END = b"data: [DONE]\n\n"


def completion(result: RunResult, thread: str | None) -> Json:
    """A finished run as `chat.completion`."""
    message: Json = {"role": "assistant", "content": result.answer, "refusal": None}
    if links := annotations(result):
        message["annotations"] = links
    choice = {
        "index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(result),
    }  # fmt: skip
    return {
        "id": f"chatcmpl-{result.id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": result.version,
        "choices": [choice],
        "usage": usage(result),
        "system_fingerprint": result.version,
        "perennial": about(result, thread) | {"tools": tool_activity(result)},
    }


def about(result: RunResult, thread: str | None) -> Json:
    """What a client may want to know of a run beyond OpenAI's fields."""
    return {
        "version": result.version, "episode": result.id, "thread": thread, "steps": result.steps,
        "citations": [citation.model_dump() for citation in result.citations],
    }  # fmt: skip


def annotations(result: RunResult) -> list[Json]:
    """The cited pages as OpenAI's `url_citation`s of the whole answer; files have no URL."""
    whole = {"start_index": 0, "end_index": len(result.answer)}
    return [
        {"type": "url_citation", "url_citation": {"url": c.address, "title": c.title} | whole}
        for c in result.citations
        if c.address.startswith(("http://", "https://"))
    ]


def tool_activity(result: RunResult) -> list[Json]:
    """The tool calls since the last question, each with the reply that the model read."""
    asked = max((i for i, m in enumerate(result.messages) if m.role == "user"), default=-1)
    calls: list[Json] = []
    waiting: list[Json] = []
    for message in result.messages[asked + 1 :]:
        if message.tool_calls:
            waiting = [dict(call) for call in message.tool_calls]
            calls += waiting
        elif message.role == "tool" and waiting:
            waiting.pop(0)["result"] = message.content
    return calls


def usage(result: RunResult) -> Json:
    """Tokens of all model calls of the run together."""
    spent = (result.prompt_tokens, result.completion_tokens)
    return {
        "prompt_tokens": spent[0], "completion_tokens": spent[1], "total_tokens": sum(spent),
    }  # fmt: skip


def finish_reason(result: RunResult) -> str:
    """`length` when the answer was cut, else `stop`: the agent has made its tool calls itself."""
    return "length" if result.finish_reason == "length" else "stop"


async def sse(
    events: AsyncGenerator[Event, None], run: str, version: str, thread: str | None,
    include_usage: bool,
) -> AsyncGenerator[bytes, None]:  # fmt: skip
    """The stream as server-sent events: role, text and tool activity, finish, usage, [DONE].

    A fault after the first event comes as an `error` event, since the status is long sent.
    """
    head: Json = {
        "id": f"chatcmpl-{run}",
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": version,
        "system_fingerprint": version,
    }
    if include_usage:
        head["usage"] = None

    def chunk(delta: Json, finish: str | None = None, **extra: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _line(head | {"choices": [choice]} | extra)

    yield chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(events):
            async for event in events:
                match event:
                    case Token(text):
                        yield chunk({"content": text})
                    case ToolCalled(id, name, arguments):
                        call = {"id": id, "name": name, "arguments": arguments}
                        yield chunk({}, perennial={"tool_call": call})
                    case ToolReplied(id, name, text, ok):
                        reply = {"id": id, "name": name, "content": text, "ok": ok}
                        yield chunk({}, perennial={"tool_result": reply})
                    case Done(result):
                        if result.fault:
                            yield _line(api_error(result.fault).body)
                            return
                        yield chunk({}, finish_reason(result), perennial=about(result, thread))
                        if include_usage:
                            yield _line(head | {"choices": [], "usage": usage(result)})
    except PerennialError as error:
        # An answer that could not be kept: a connection that just breaks would not say why.
        yield _line(api_error(error).body)
        return
    yield END


def _line(value: Json) -> bytes:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()
