"""A small ToolBench of our own: two tools, one query, scripted models that are played for real."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from adapt.evals.asking import Asker, Decoding, Played
from adapt.evals.benchmarks import Case
from adapt.evals.items import Item
from adapt.evals.published.stabletoolbench import case_of
from adapt.evals.toolbench.play import SERVER, play
from adapt.evals.toolbench.protocol import LIMITS, Limits, Setting
from adapt.evals.toolbench.queries import Api, Parameter, Query
from adapt.evals.toolbench.server import ToolServer
from adapt.evals.toolbench.steps import Explorer, Said, World
from adapt.evals.toolbench.steps import Path as Walk
from agent.engine import Engine, ToolCall
from agent.fake_engine import FakeVllm
from agent.history import Wire, to_wire

CITY = Parameter("city", "STRING", "where", "Kyoto", required=True)
DAYS = Parameter("days", "NUMBER", "how many", 3, required=False)
FORECAST = Api(
    "Weather", "Sky Watch", "Forecast", "Weather of the next days.", (CITY, DAYS),
    {"days": [{"sky": "str", "high": "int", "_list_length": 7}]},
)  # fmt: skip
ALERTS = Api("Weather", "Sky Watch", "Alerts", "Warnings.", (CITY,))
MENU = Api("Food", "Table 9", "id", "", (Parameter("id", "STRING", "", "", required=True),))
QUERY = Query(
    "7", "Will it rain in Kyoto, and is there a warning?", (FORECAST, ALERTS, MENU), (0, 1)
)

FORECAST_NAME = "forecast_for_sky_watch"
ALERTS_NAME = "alerts_for_sky_watch"
MENU_NAME = "is_id_for_table_9"
KYOTO = {"city": "Kyoto"}
DONE = ("Finish", {"return_type": "give_answer", "final_answer": "No rain, no warning."})
GIVE_UP = ("Finish", {"return_type": "give_up_and_restart"})
GOOD = [(FORECAST_NAME, KYOTO), (ALERTS_NAME, KYOTO), DONE]

Call = tuple[str, Any]


def case(**setting: Any) -> Case:
    """The query as an item, under a setting."""
    return case_of("G1_instruction", QUERY, Setting(**setting))


def record(**changes: Any) -> dict[str, Any]:
    """The record of a query file; `changes` replace fields, and None leaves one out."""
    parameter = {"name": "city", "type": "STRING", "description": "where", "default": "Kyoto"}
    api = {
        "category_name": "Weather", "tool_name": "Sky Watch", "api_name": "Forecast",
        "api_description": "Weather.", "required_parameters": [parameter],
        "optional_parameters": [], "method": "GET",
    }  # fmt: skip
    whole = {
        "api_list": [api], "query": "Will it rain?", "relevant APIs": [["Sky Watch", "Forecast"]],
        "query_id": 7,
    }  # fmt: skip
    return {k: v for k, v in {**whole, **changes}.items() if v is not None}


def write_queries(path: Path, *records: Any) -> Path:
    """A query file of those records."""
    path.write_text(json.dumps(list(records)))
    return path


def write_replies(
    folder: Path, replies: Any, name: str = "Weather/sky_watch_for_Weather/forecast"
) -> Path:
    """One file of the published layout."""
    path = folder / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(replies if isinstance(replies, str) else json.dumps(replies))
    return path


def body(said: str) -> dict[str, str]:
    """A reply without an error."""
    return {"error": "", "response": said}


Script = Sequence["str | list[Call]"]
"""What a model says, reply by reply: text, or calls whose arguments are objects or raw text."""


def scripted(script: Script) -> Callable[[str, list[Wire], list[Wire]], Any]:
    """An engine's answers by script; behind its end it says nothing."""

    def answer(_model: str, messages: list[Wire], _tools: list[Wire]) -> Any:
        place = sum(m["role"] == "assistant" for m in messages)
        said = script[place] if place < len(script) else ""
        if isinstance(said, str):
            return said
        return [{"name": name, "arguments": arguments} for name, arguments in said]

    return answer


async def played(
    item: Item, script: Script, server: ToolServer | None = None, vllm: FakeVllm | None = None
) -> Played:
    """The item played by a model that follows the script."""
    async with Engine(Path("-"), transport=vllm or FakeVllm(scripted(script))) as engine:
        extras = {SERVER: server} if server else {}
        return await play(Asker(engine, "base", Decoding(), extras=extras), item)


def one_by_one(calls: Sequence[Call]) -> Script:
    """One call a reply."""
    return [[call] for call in calls]


def said(*calls: Call, thought: str = "") -> Said:
    """A reply with a thought and calls, as the modules that walk see it."""
    made = (
        ToolCall(f"c{i}", name, given if isinstance(given, str) else json.dumps(given))
        for i, (name, given) in enumerate(calls)
    )
    return Said(thought, thought, tuple(made))


class Speaker:
    """A model at the seam of an Explorer: says `replies` in turn, and keeps what it was shown."""

    def __init__(self, replies: Sequence[Said]) -> None:
        self.replies = list(replies)
        self.shown: list[list[Wire]] = []

    async def __call__(self, messages: Sequence[Wire]) -> Said:
        self.shown.append(list(messages))
        return self.replies[len(self.shown) - 1]


def explorer(
    speaker: Speaker,
    item: Item | None = None,
    server: ToolServer | None = None,
    limits: Limits | None = None,
) -> tuple[Explorer, Walk]:
    """An explorer of the query's world, and the path at its beginning."""
    item = item or case().item
    world = World.of(item, (server or ToolServer()).start())
    start = Walk(tuple(to_wire(item.messages)))
    return Explorer(speaker, world, limits or LIMITS["stabletoolbench"]), start
