"""Published traces played again: our chain and tree take the same steps to the same end.

A trace's model outputs are said again in their order, and its observations are what the functions
return. The names, the statuses, the cut of observations, the way of the search, the number of
replies and the end must come out: of 18 of the 21 traces all of it does.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolbench_cases import Speaker

from adapt.evals.toolbench.chain import run_chain
from adapt.evals.toolbench.functions import FINISH, function_names, schema_of
from adapt.evals.toolbench.protocol import LIMITS, OBSERVATION_CHARS, Status
from adapt.evals.toolbench.queries import Api, read_queries
from adapt.evals.toolbench.server import ToolServer
from adapt.evals.toolbench.steps import Explorer, Said, Step, Trace, World
from adapt.evals.toolbench.steps import Path as Walk
from adapt.evals.toolbench.tree import run_tree
from agent.engine import ToolCall

Node = dict[str, Any]
OWN_WORDS = (Status.NO_SUCH_FUNCTION, Status.BAD_INPUT, Status.FINAL_ANSWER, Status.GAVE_UP,
             Status.TIMEOUT, Status.NOT_SENT)  # fmt: skip
"""Of these statuses the observations are our own words."""
OTHER_SEARCH = ("G1_answer/69_", "G3_answer/8_")
"""Traces made by an older code, whose search goes back two steps from the depth limit as well."""
SUFFIX_CALLED = ("G3_answer/21_",)
"""A trace with a call of a function by the end of its name, which published code takes."""


@dataclass
class Recording:
    """A trace: replies in the order in which they were given, each call with what came of it."""

    replies: list[Said] = field(default_factory=list)
    outcomes: list[tuple[str, int, str]] = field(default_factory=list)
    """(function, status, observation) of every call."""


class Watched(World):
    """A world that keeps the steps of all paths."""

    seen: list[Step]

    async def step(self, name: str, arguments: str) -> Step:
        """Make one call."""
        self.seen.append(await super().step(name, arguments))
        return self.seen[-1]


def recorded(trace: Node) -> Recording:
    """The recording of a trace's nodes."""
    if "tree" in trace:
        nodes = list(below(trace["tree"]["tree"]))
    else:
        nodes = trace["trys"][0]["chain"]
    found, thought, action = Recording(), "", ""
    # A chain does not tell which thoughts were replies of their own, but how many were.
    calls = sum(node["node_type"] == "Action Input" for node in nodes)
    alone = "trys" in trace and trace["answer_generation"]["query_count"] > calls
    for node in nodes:
        if node["node_type"] == "Thought":
            # The search visits nodes that end a reply, and numbers them.
            if alone or node["expand_num"]:
                found.replies.append(Said(node["description"], node["description"]))
            else:
                thought = node["description"]
        elif node["node_type"] == "Action":
            action = node["description"]
        else:
            call = ToolCall(f"c{len(found.outcomes)}", action, node["description"])
            found.replies.append(Said(thought, thought, (call,)))
            found.outcomes.append((action, node["observation_code"], node.get("observation", "")))
            thought = ""
    return found


def below(node: Node) -> Iterator[Node]:
    """The nodes under one, parents first, children in order."""
    for child in node["children"]:
        yield child
        yield from below(child)


def again(trace: Node, recording: Recording) -> tuple[Trace, list[Step]]:
    """The trace played again under ToolBench's own limits, and the steps of all its paths."""
    world = world_of(trace, recording)
    walker = Explorer(Speaker(recording.replies), world, LIMITS["toolbench"])
    start = Walk(({"role": "system", "content": ""}, {"role": "user", "content": "query"}))
    run = run_tree if "tree" in trace else run_chain
    return asyncio.run(run(walker, start)), world.seen


def world_of(trace: Node, recording: Recording) -> Watched:
    """The functions of a trace, which return what they did in it."""
    functions = [f.get("function", f) for f in trace["answer_generation"]["function"]]
    schemas = {f["name"]: {"type": "function", "function": f} for f in functions}
    apis = {name: Api("Data", "T", name) for name in schemas if name != FINISH}
    left = iter([o for o in recording.outcomes if o[0] in apis])

    def answer(_given: dict[str, Any]) -> Any:
        _, status, observation = next(left)
        if status == Status.TIMEOUT:
            raise TimeoutError
        if status == Status.NOT_SENT:
            raise RuntimeError(observation)
        return whole(observation)

    server = ToolServer(worlds=[lambda: dict.fromkeys(apis, answer)])
    world = Watched(schemas, apis, server.start())
    world.seen = []
    return world


async def steps_of(trace: Node, recording: Recording) -> list[Step]:
    """The calls of a trace made one after the other, without a search."""
    world = world_of(trace, recording)
    calls = [call for reply in recording.replies for call in reply.calls]
    return [await world.step(call.name, call.arguments) for call in calls]


def whole(observation: str) -> dict[str, Any]:
    """A reply whose observation is the recorded one. Of one that was cut, the rest is dots."""
    if len(observation) <= OBSERVATION_CHARS:
        return json.loads(observation)
    dots = "." * OBSERVATION_CHARS
    for place in range(OBSERVATION_CHARS, OBSERVATION_CHARS - 6, -1):
        # The cut may be inside an escaped character.
        try:
            cut = json.loads(observation[:place] + '"}')
            return {**cut, "response": cut["response"] + dots}
        except (ValueError, TypeError):
            continue
    return {"error": "", "response": dots}


def traces(data: Path) -> list[tuple[str, Node]]:
    """All published traces, by name."""
    stable = data / "stabletoolbench" / "dev" / "data_example" / "answer"
    paths = [*(data / "toolbench" / "dev" / "answer").glob("*/*.json"), *stable.glob("*/*/*.json")]
    return [(f"{p.parent.name}/{p.name}", json.loads(p.read_text())) for p in sorted(paths)]


def test_published_traces_come_out_again(published_data: Path) -> None:
    played = 0
    for name, trace in traces(published_data):
        if name.startswith((*OTHER_SEARCH, *SUFFIX_CALLED)):
            continue
        recording = recorded(trace)
        outcome, steps = again(trace, recording)
        assert [s.function for s in steps] == [o[0] for o in recording.outcomes], name
        assert [s.status for s in steps] == [o[1] for o in recording.outcomes], name
        assert outcome.explorer.queries == trace["answer_generation"]["query_count"], name
        assert (outcome.path.ending == "answer") == trace["win"], name
        if trace["win"]:
            given = json.loads(trace["answer_generation"]["final_answer"], strict=False)
            assert outcome.path.answer == given["final_answer"], name
        played += 1
    assert played == 18


def test_statuses_and_cuts_of_all_published_calls_are_ours(published_data: Path) -> None:
    statuses: set[int] = set()
    cut = same = 0
    for name, trace in traces(published_data):
        recording = recorded(trace)
        steps = asyncio.run(steps_of(trace, recording))
        for step, (called, status, observation) in zip(steps, recording.outcomes, strict=True):
            if name.startswith(SUFFIX_CALLED) and called == "dota_2_steam_web":
                assert (step.status, status) == (Status.NO_SUCH_FUNCTION, Status.OK)
                continue
            assert step.status == status, name
            statuses.add(step.status)
            if status not in OWN_WORDS:
                assert len(step.observation) == len(observation), name
                cut += len(observation) == OBSERVATION_CHARS + 3
                same += step.observation == observation
    assert statuses == {0, 1, 3, 4, 5, 11, 12}
    assert cut > 50 and same > 150


def test_published_function_names_are_ours(published_data: Path) -> None:
    stable = published_data / "stabletoolbench" / "dev"
    queries = {query.id: query for query in read_queries(stable / "G1_instruction.json")}
    compared = 0
    for path in sorted((stable / "data_example" / "answer").glob("*/*/*.json")):
        apis = queries[path.name.split("_")[0]].apis
        functions = json.loads(path.read_text())["answer_generation"]["function"]
        shown = [f.get("function", f) for f in functions][:-1]
        names = function_names(apis)
        assert names == [f["name"] for f in shown]
        for name, api, theirs in zip(names, apis, shown, strict=True):
            ours = schema_of(name, api)["function"]["parameters"]
            for word, entry in theirs["parameters"]["properties"].items():
                assert ours["properties"][word]["type"] == entry["type"]
                compared += 1
    assert compared > 30
