"""One step of a run: the model's reply, its calls made, the conversation that goes on behind them.

Which step comes next is for adapt.evals.toolbench.chain and .tree, which call this. Whatever a
model says becomes a step with a status.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from adapt.evals.asking import too_long
from adapt.evals.items import Item
from adapt.evals.toolbench.functions import FINISH, Schema, problem_of
from adapt.evals.toolbench.protocol import (
    GO_ON,
    HALLUCINATED,
    Limits,
    Status,
    observed,
    read_finish,
)
from adapt.evals.toolbench.queries import Api
from adapt.evals.toolbench.server import Service, Source, as_text
from agent.engine import ToolCall
from agent.history import Wire
from store.errors import EngineError

Ending = Literal["", "answer", "give_up", "context", "depth", "queries"]
"""Why a path ended: `context` where it outgrew the model's, `depth` and `queries` at the limits."""
SHOWN_NAME_CHARS = 100


@dataclass(frozen=True)
class Said:
    """One reply of the model. `content` is all its text, `thought` what of it is no call."""

    content: str
    thought: str
    calls: tuple[ToolCall, ...] = ()
    malformed: bool = False
    """Whether it tried a call that cannot be read."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


Speak = Callable[[Sequence[Wire]], Awaitable[Said]]


@dataclass(frozen=True)
class Step:
    """One call. `valid`: the function is there, and the arguments fit it."""

    function: str
    arguments: str
    observation: str
    status: Status
    source: Source
    valid: bool
    answer: str = ""


@dataclass(frozen=True)
class Path:
    """A conversation and the calls in it, from the request on."""

    messages: tuple[Wire, ...]
    depth: int = 0
    steps: tuple[Step, ...] = ()
    ending: Ending = ""

    @property
    def answer(self) -> str:
        """The final answer, empty where none was given."""
        return self.steps[-1].answer if self.steps else ""


@dataclass
class World:
    """The functions of one query, and who answers them."""

    schemas: Mapping[str, Schema]
    apis: Mapping[str, Api]
    service: Service

    @classmethod
    def of(cls, item: Item, service: Service) -> "World":
        """The world of an item of kind `toolbench`."""
        apis = {
            name: Api(a["category"], a["tool"], a["api"], template=a.get("template"))
            for name, a in item.check["apis"].items()
        }
        return cls({t["function"]["name"]: t for t in item.tools}, apis, service)

    async def step(self, name: str, arguments: str) -> Step:
        """Make one call."""
        if name == FINISH:
            end = read_finish(arguments)
            valid = end.status is not Status.BAD_INPUT
            return Step(name, arguments, end.observation, end.status, "protocol", valid, end.answer)
        if name not in self.apis:
            words = f"no function is called {name[:SHOWN_NAME_CHARS]}"
            return _refused(name, arguments, words, Status.NO_SUCH_FUNCTION)
        given = read_arguments(arguments)
        if given is None:
            words = "the arguments are not a JSON object"
            return _refused(name, arguments, words, Status.BAD_INPUT)
        schema = self.schemas[name]
        reply = await self.service.call(self.apis[name], schema, given)
        fits = not problem_of(schema, given)
        text = observed(as_text(reply.body))
        return Step(name, arguments, text, reply.status, reply.source, fits)


@dataclass
class Explorer:
    """Takes steps in one world, within limits, and counts them over all paths."""

    speak: Speak
    world: World
    limits: Limits
    queries: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    malformed: int = 0
    calls: int = 0
    sources: dict[str, int] = field(default_factory=dict)

    async def reply(self, path: Path, aside: Wire | None = None) -> Path:
        """The path with one more reply of the model and what its calls came to.

        `aside` is shown for this reply only. EngineError when the engine fails.
        """
        if self.queries >= self.limits.queries:
            return replace(path, ending="queries")
        try:
            said = await self.speak(_with(path.messages, aside))
        except EngineError as error:
            if self.queries and too_long(error):
                # The model's own words outgrew the context: as a fault it would be asked again.
                return replace(path, ending="context")
            raise
        self.queries += 1
        self.prompt_tokens += said.prompt_tokens
        self.completion_tokens += said.completion_tokens
        self.malformed += said.malformed
        return await self._follow(path, said)

    async def _follow(self, path: Path, said: Said) -> Path:
        # A reply of nothing counts as a thought: without depth it would come again for ever.
        depth = path.depth + (1 if said.thought.strip() or not said.calls else 0)
        made: list[tuple[ToolCall, Step]] = []
        for call in said.calls:
            if made and (depth >= self.limits.depth or _ends(made[-1][1])):
                break
            step = await self.world.step(call.name, call.arguments)
            made.append((call, step))
            depth += 2
            self.calls += 1
            self.sources[step.source] = self.sources.get(step.source, 0) + 1
        ending: Ending = _ends(made[-1][1]) if made else ""
        if not ending and depth >= self.limits.depth:
            ending = "depth"
        messages = (*path.messages, *_turn(said, made))
        return Path(messages, depth, (*path.steps, *(step for _, step in made)), ending)


@dataclass(frozen=True)
class Trace:
    """One played query: the path that answered, else the last one, and what all of it took."""

    path: Path
    explorer: Explorer


def read_arguments(text: str) -> dict[str, Any] | None:
    """A call's arguments, None where they are no JSON object. No text is no arguments."""
    try:
        read = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None


def _with(messages: tuple[Wire, ...], aside: Wire | None) -> tuple[Wire, ...]:
    """The conversation with `aside` behind it: in one message where the user spoke last, since
    many chat templates refuse two in a row."""
    if aside is None:
        return messages
    last = messages[-1]
    if last["role"] != "user":
        return (*messages, aside)
    return (*messages[:-1], {**last, "content": f"{last['content']}\n{aside['content']}"})


def _ends(step: Step) -> Ending:
    endings: dict[Status, Ending] = {Status.FINAL_ANSWER: "answer", Status.GAVE_UP: "give_up"}
    return endings.get(step.status, "")


def _turn(said: Said, made: Sequence[tuple[ToolCall, Step]]) -> list[Wire]:
    """What a reply adds to the conversation."""
    message: Wire = {"role": "assistant", "content": said.content}
    if not made:
        return [message, {"role": "user", "content": GO_ON}]
    message["tool_calls"] = [
        {"id": call.id, "type": "function", "function": _shown(call, step)} for call, step in made
    ]
    replies = [
        {"role": "tool", "tool_call_id": call.id, "content": step.observation}
        for call, step in made
    ]
    return [message, *replies]


def _shown(call: ToolCall, step: Step) -> Wire:
    """A call as the model sees it later. Chat templates read the arguments as an object, so an
    engine refuses a conversation that holds others."""
    known = step.status is not Status.NO_SUCH_FUNCTION
    fit = read_arguments(call.arguments) is not None
    name = call.name if known else HALLUCINATED
    return {"name": name, "arguments": (call.arguments or "{}") if fit else "{}"}


def _refused(name: str, arguments: str, words: str, status: Status) -> Step:
    text = json.dumps({"error": words, "response": ""})
    return Step(name, arguments, text, status, "protocol", False)
