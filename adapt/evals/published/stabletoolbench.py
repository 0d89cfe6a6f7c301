"""StableToolBench: ToolBench's solvable queries, played by ToolLLaMA's protocol.

Reads the query files of the published test groups that the folder has. The gold is a scripted run:
every relevant API once, then Finish with an answer. `replay` plays such a run for real, which is
how adapt.evals.selfchecking.selfcheck examines this benchmark. Its score is a share: a call that is
wrong, missing or repeated lowers it, and no answer makes it 0.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from adapt.evals.asking import Asker, Decoding
from adapt.evals.benchmarks import Benchmark, Case, Gold
from adapt.evals.items import Item
from adapt.evals.scoring.marks import Mark
from adapt.evals.toolbench.functions import (
    FINISH,
    GIVE_ANSWER,
    example_arguments,
    finish_schema,
    function_names,
    schema_of,
    tool_word,
)
from adapt.evals.toolbench.play import play
from adapt.evals.toolbench.protocol import Setting, system_prompt, user_prompt
from adapt.evals.toolbench.queries import Query, read_queries
from agent.engine import Engine
from agent.fake_engine import FakeVllm
from store.errors import NotFoundError
from store.records import Message

GROUPS = ("G1_instruction", "G1_tool", "G1_category", "G2_instruction", "G2_category",
          "G3_instruction")  # fmt: skip
"""Published groups: I1 to I3 by kind of query, and what of it is unseen."""


def load(folder: Path) -> Iterator[Case]:
    """The queries of all groups in `folder`, by the default setting."""
    yield from cases(folder, Setting())


def cases(folder: Path, setting: Setting) -> Iterator[Case]:
    """The queries of all groups in `folder`, to be played by `setting`.

    NotFoundError where there is no group's file.
    """
    paths = [path for group in GROUPS if (path := folder / f"{group}.json").is_file()]
    if not paths:
        raise NotFoundError(
            f"{folder} has none of StableToolBench's query files",
            f"it wants {', '.join(f'{group}.json' for group in GROUPS)}",
        )
    for path in paths:
        for query in read_queries(path):
            yield case_of(path.stem, query, setting)


def case_of(group: str, query: Query, setting: Setting) -> Case:
    """One query as an item, with a run that is right."""
    names = function_names(query.apis)
    tools = [schema_of(name, api) for name, api in zip(names, query.apis, strict=True)]
    apis = {
        name: {"category": api.category, "tool": api.tool, "api": api.name}
        | ({"template": api.template} if api.template is not None else {})
        for name, api in zip(names, query.apis, strict=True)
    }
    item = Item(
        suite="stabletoolbench",
        slice=group,
        name=query.id,
        messages=(
            Message(role="system", content=system_prompt(tool_word(a.tool) for a in query.apis)),
            Message(role="user", content=user_prompt(query.text)),
        ),
        tools=(*tools, finish_schema()),
        check={
            "kind": "toolbench",
            "relevant": [names[place] for place in query.relevant],
            "apis": apis,
            "method": setting.method,
            "limits": setting.limits,
            "format": setting.format,
        },
    )
    calls = [(names[place], example_arguments(query.apis[place])) for place in query.relevant]
    return Case(item, Gold(content=ANSWER, calls=(*calls, finish(ANSWER))))


ANSWER = "Here is what was asked for."


def finish(answer: str) -> tuple[str, dict[str, Any]]:
    """The call that ends a run with an answer."""
    return FINISH, {"return_type": GIVE_ANSWER, "final_answer": answer}


async def replay(item: Item, gold: Gold) -> Mark:
    """Play a scripted run through the real protocol: one call of `gold` a reply, then nothing.

    The item's format must be `functions`, as `load` has it.
    """

    def answer(_model: str, messages: list[dict[str, Any]], _tools: object) -> Any:
        place = sum(message["role"] == "assistant" for message in messages)
        said: Sequence[tuple[str, dict[str, Any]]] = gold.calls[place : place + 1]
        return [{"name": name, "arguments": json.dumps(given)} for name, given in said] or ""

    async with Engine(Path("-"), transport=FakeVllm(answer)) as engine:
        return (await play(Asker(engine, "base", Decoding()), item)).mark


BENCHMARK = Benchmark(
    "stabletoolbench",
    "solvable ToolBench queries played step by step: Finish with an answer x F1 of relevant APIs",
    load,
    folder="stabletoolbench/dev",
)
