"""DFSDT: depth-first search over steps (ToolBench's DFS_woFilter_w2).

Every step may have two continuations. The second is asked with the calls of the first in view, and
must differ. After giving up the search goes back two steps, after a limit one; it ends with the
first final answer. Paths are not ranked. Called by adapt.evals.toolbench.play.
"""

from dataclasses import dataclass, field
from typing import Any

from adapt.evals.toolbench.protocol import diversity_prompt
from adapt.evals.toolbench.steps import Explorer, Path, Step, Trace
from agent.history import Wire

CHILDREN = 2
BACK_AFTER_GIVING_UP = 2
_OUT = 1_000_000
"""Steps back that leave the search."""


@dataclass
class _Node:
    path: Path
    first: Step | None = None
    """The first call of the reply that led here; None where it called nothing."""
    children: list["_Node"] = field(default_factory=list)


async def run_tree(explorer: Explorer, start: Path) -> Trace:
    """Search until the model answers, all is tried or the queries are used up.

    EngineError when the engine fails.
    """
    search = _Search(explorer, start)
    await search.descend(_Node(start))
    return Trace(search.last, explorer)


class _Search:
    def __init__(self, explorer: Explorer, start: Path) -> None:
        self._explorer = explorer
        self.last = start

    async def descend(self, node: _Node) -> int:
        """How many steps to go back from here. The depth of the calls is that of the tree."""
        for _ in range(CHILDREN):
            path = await self._explorer.reply(node.path, _aside(node))
            new = path.steps[len(node.path.steps) :]
            child = _Node(path, new[0] if new else None)
            node.children.append(child)
            self.last = path
            if path.ending in ("answer", "queries"):
                return _OUT
            if path.ending == "give_up":
                back = BACK_AFTER_GIVING_UP
            else:
                back = 1 if path.ending else await self.descend(child)
            if back > 1:
                return back - 1
        return 1


def _aside(node: _Node) -> Wire | None:
    """What a further continuation is told of the earlier ones."""
    taken = [_call_of(step) for child in node.children if (step := _first_call(child))]
    if not taken:
        return None
    observation = node.path.steps[-1].observation if node.first else ""
    return {"role": "user", "content": diversity_prompt(taken, observation)}


def _first_call(node: _Node) -> Step | None:
    """The first call at or behind a node."""
    while node.first is None and node.children:
        node = node.children[0]
    return node.first


def _call_of(step: Step) -> dict[str, Any]:
    return {
        "name": step.function, "arguments": step.arguments, "function_output": step.observation,
    }  # fmt: skip
