"""ToolLLaMA's protocol: status codes, step limits, prompts, how Finish and text replies are read.

Formats and figures are the published ones, the prose is our own. Asks nothing. Called by the loader
and by the modules that play a query.
"""

import ast
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal, get_args

from adapt.evals.toolbench.functions import GIVE_ANSWER, GIVE_UP
from store.errors import ConfigError

Method = Literal["react", "dfsdt"]
Format = Literal["functions", "text"]

HALLUCINATED = "invalid_hallucination_function_name"
"""What a call of no function is called in the conversation that goes on behind it."""
OBSERVATION_CHARS = 1024


class Status(IntEnum):
    """What came of one call."""

    OK = 0
    NO_SUCH_FUNCTION = 1
    BAD_INPUT = 2
    FINAL_ANSWER = 3
    GAVE_UP = 4
    TIMEOUT = 5
    NOT_FOUND = 6
    UNAUTHORIZED = 7
    UNSUBSCRIBED = 8
    TOO_MANY_REQUESTS = 9
    RATE_LIMIT = 10
    ERROR_FIELD = 11
    NOT_SENT = 12


STATUS_OF_ERROR = {
    "API not working error...": Status.NOT_FOUND,
    "Unauthorized error...": Status.UNAUTHORIZED,
    "Unsubscribed error...": Status.UNSUBSCRIBED,
    "Too many requests error...": Status.TOO_MANY_REQUESTS,
    "Rate limit per minute error...": Status.RATE_LIMIT,
    "Message error...": Status.ERROR_FIELD,
}
"""By the `error` of a server's reply. Any other error is a reply like another: status 0."""


@dataclass(frozen=True)
class Limits:
    """Where a run stops. A thought, an action and an action input are one level of depth each."""

    depth: int
    queries: int
    """Most replies of the model."""


LIMITS = {"toolbench": Limits(12, 200), "stabletoolbench": Limits(50, 200)}
"""The published settings. They differ by four: only runs under one of them can be compared."""


@dataclass(frozen=True)
class Setting:
    """How a query is played. ConfigError for a word that is not known."""

    method: Method = "react"
    limits: str = "stabletoolbench"
    format: Format = "functions"
    """`functions` are OpenAI's tools, `text` is ToolLLaMA's own template."""

    def __post_init__(self) -> None:
        known = {"method": get_args(Method), "limits": tuple(LIMITS), "format": get_args(Format)}
        for name, words in known.items():
            if (value := getattr(self, name)) not in words:
                raise ConfigError(f"no {name} {value!r}", f"there are: {', '.join(words)}")

    @classmethod
    def of(cls, check: Mapping[str, Any]) -> "Setting":
        """The setting inside an item's check."""
        return cls(
            **{name: check[name] for name in ("method", "limits", "format") if name in check}
        )


def system_prompt(tools: Iterable[str]) -> str:
    """What the model is told before the request. `tools` are standardized names of tools."""
    listed = "\n".join(f"{place}.{name}" for place, name in enumerate(dict.fromkeys(tools), 1))
    return (
        "You solve a task by calling functions. You get the task first. At each step, think about "
        "where you stand and what to do next, in at most five sentences, and call a function to do "
        "it. Then you get the function's reply and decide on the next step, until the task is done "
        "and you give the final answer.\n"
        "Remember:\n"
        "1. A step cannot be taken back. To start over, give up and restart.\n"
        f"2. End every attempt by calling Finish: with {GIVE_ANSWER} and an answer that tells the "
        f"user all that was asked for, or with {GIVE_UP} when you cannot solve the task or the "
        "functions keep failing.\n"
        "3. Call functions by their full names; the names of tools are no functions.\n"
        f"You can use these tools:\n{listed}\n"
    )


def user_prompt(query: str) -> str:
    """The request."""
    return f"\n{query}\nBegin!\n"


def diversity_prompt(candidates: Sequence[Mapping[str, Any]], observation: str) -> str:
    """Asks for a step that differs from those taken from here before (DFSDT's second child)."""
    again = f"The last observation was: {observation}\n" if observation else ""
    return (
        "You have been at this step before, and what you did then did not solve the task. These "
        f"are the calls that you made from here:\n{json.dumps(list(candidates), indent=2)}\n{again}"
        "Think about where you stand and about these calls, then do something different from all "
        "of them."
    )


GO_ON = "Go on with a function call, or call Finish."
"""Follows a reply without a call: many chat templates refuse two replies of the model in a row."""


@dataclass(frozen=True)
class Finished:
    """What a call of Finish came to."""

    status: Status
    observation: str
    answer: str = ""


def read_finish(arguments: str) -> Finished:
    """Finish's arguments, read as leniently as the published code does: broken JSON that names its
    fields counts."""
    fields = _finish_fields(arguments)
    kind = fields.get("return_type")
    if kind == GIVE_UP:
        return Finished(Status.GAVE_UP, '{"response": "given up"}')
    if kind == GIVE_ANSWER and "final_answer" in fields:
        said = fields["final_answer"]
        answer = said if isinstance(said, str) else json.dumps(said) if said else ""
        return Finished(Status.FINAL_ANSWER, '{"response": "the final answer is given"}', answer)
    if kind == GIVE_ANSWER:
        return _refused("final_answer is missing")
    return _refused(
        "return_type is missing" if kind is None else "return_type is neither of the two"
    )


def _refused(words: str) -> Finished:
    return Finished(Status.BAD_INPUT, json.dumps({"error": words, "response": ""}))


def _finish_fields(arguments: str) -> dict[str, Any]:
    try:
        read = json.loads(arguments, strict=False)
    except (ValueError, RecursionError):
        read = {}
        for kind in (GIVE_ANSWER, GIVE_UP):
            if f'"return_type": "{kind}"' in arguments:
                read["return_type"] = kind
                break
        _, found, rest = arguments.partition('"final_answer": "')
        if found:
            read["final_answer"] = rest
    return read if isinstance(read, dict) else {}


def observed(reply: str) -> str:
    """A server's reply as the model reads it: at most 1,024 characters and three dots."""
    return reply if len(reply) <= OBSERVATION_CHARS else reply[:OBSERVATION_CHARS] + "..."


def template_prompt(messages: Sequence[Mapping[str, Any]], schemas: Sequence[Any]) -> str:
    """A conversation in ToolLLaMA's template (tool-llama-single-round), up to the next reply.

    It begins with LLaMA's own first token, since nothing is added to a prompt in this form.
    """
    roles = {"system": "System", "user": "User", "tool": "Function", "assistant": "Assistant"}
    lines: list[str] = []
    for message in messages:
        content = message["content"]
        if message["role"] == "system":
            functions = [schema["function"] for schema in schemas]
            content += (
                "Write every step in this form:\nThought:\nAction:\nAction Input:\n"
                f"These are the functions: {functions}"
            )
        lines.append(f"{roles[message['role']]}: {content}\n")
    return f"<s>{''.join(lines)}Assistant:\n"


@dataclass(frozen=True)
class TextReply:
    """A reply in the template, taken apart. `action` is empty where it calls nothing."""

    thought: str
    action: str
    action_input: str


def read_text(text: str) -> TextReply:
    """Thought, Action and Action Input of a reply. An input that is a Python literal becomes JSON;
    what follows an input's closing brace is dropped."""
    before, found, called = text.partition("Action:")
    thought = before.partition("Thought:")[2] if "Thought:" in before else before
    if not found:
        return TextReply(text.strip(), "", "")
    action, _, given = called.partition("Action Input:")
    return TextReply(thought.strip(), action.strip(), _input(given.strip()))


LITERAL_CHARS = 10_000
"""Longest text that is read as a Python literal."""


def _input(given: str) -> str:
    try:
        _, end = json.JSONDecoder().raw_decode(given)
        return given[:end]
    except (ValueError, RecursionError):
        read = literal(given)
        return given if read is None else read


def literal(text: str) -> str | None:
    """JSON of a Python dictionary written out, None where the text is none."""
    if len(text) > LITERAL_CHARS or not text.startswith("{"):
        return None
    try:
        read = ast.literal_eval(text)
        return json.dumps(read) if isinstance(read, dict) else None
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        # MemoryError is how the parser refuses deep nesting.
        return None
