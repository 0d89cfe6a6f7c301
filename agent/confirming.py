"""A person's yes to tool calls: which calls need one, how it is asked for, how an answer is read.

It is asked by LangGraph's `interrupt`, once for all calls of one reply, with
`{"type": "confirm", "calls": [{"id", "name", "arguments"}]}`, and answered by resuming the run with
`{"approved": [ids]}`, true or false. Whatever else comes as an answer is a no. Nothing that a model
or a tool writes is an answer. Calls no tool itself. Called by agent.tool_node.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.types import interrupt

from agent.history import Wire
from agent.state import RunContext
from tools.registry import arguments_of

NOBODY = "it needs a person's yes, and nobody can be asked here"
DECLINED = "the user declined this call; do not repeat it, ask what they want instead"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person said to one call. `refusal` is empty where it may be made."""

    confirmed: bool = False
    refusal: str = ""


def answers(run: RunContext, calls: Sequence[Wire]) -> list[Answer]:
    """One answer for each call, in order. Leaves the node, by LangGraph's interrupt, where a person
    has yet to be asked: nothing that must not happen twice may stand before it."""
    asked = {place: about for place, call in enumerate(calls) if (about := _question(run, call))}
    if not asked:
        return [Answer() for _ in calls]
    if not run.confirms:
        approved = dict.fromkeys(asked, Answer(refusal=NOBODY))
    else:
        said = interrupt({"type": "confirm", "calls": list(asked.values())})
        approved = {
            place: Answer(confirmed=True) if _yes(said, about["id"]) else Answer(refusal=DECLINED)
            for place, about in asked.items()
        }
    return [approved.get(place, Answer()) for place in range(len(calls))]


def _question(run: RunContext, call: Wire) -> dict[str, Any] | None:
    """What a person is shown of a call; None where it needs no yes or can only fail."""
    name, arguments = call["function"]["name"], arguments_of(call["function"]["arguments"])
    if name not in run.registry.names() or isinstance(arguments, str):
        return None
    if run.registry.terms(name).permission != "confirm":
        return None
    return {"id": call["id"], "name": name, "arguments": arguments}


def _yes(said: Any, id: str) -> bool:
    """Whether an answer approves the call of that id."""
    if isinstance(said, dict):
        approved = said.get("approved")
        return approved is True or (isinstance(approved, list) and id in approved)
    return said is True
