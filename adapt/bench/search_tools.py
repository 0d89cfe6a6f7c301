"""How often the tools that a task needs are among the six that are shown.

Tasks of the universe of APIs, by vectors alone, words alone and both; and what a second start
costs, whose vectors are kept. A part of `perennial bench search`; called by adapt.bench.search.
"""

import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from store.embeddings import MiniLmEmbedder
from store.vectors import KeptVectors
from tools.ranking import WAYS, nearest
from tools.registry import described
from tools.virtual import Sessions, virtual_tools
from tools.virtual_api.catalogue import build_catalogue
from tools.virtual_api.tasks import TaskKind, TaskWriter

SHOWN = 6
"""As agent.top_k."""
TASKS = 200
_KINDS: tuple[TaskKind, ...] = ("single", "multi", "cross")


def run_tools(progress: Callable[[str], None], tasks: int = TASKS) -> dict[str, Any]:
    """Rows of `tools_shown`, the share of tasks with all tools shown; seconds of two starts."""
    catalogue = build_catalogue(0)
    specs = [tool.spec for tool in virtual_tools(catalogue, Sessions(catalogue))]
    texts, names = [described(spec) for spec in specs], [spec.name for spec in specs]
    writer = TaskWriter(catalogue, catalogue.tools, random.Random(0))
    written = [writer.write(_KINDS[number % len(_KINDS)]) for number in range(tasks)]
    starts: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tools-") as folder:
        kept = Path(folder) / "vectors.db"
        first, embedder = (KeptVectors(MiniLmEmbedder(), kept) for _ in range(2))
        for each in (first, embedder):
            progress(f"{len(texts)} tools are embedded")
            began = time.perf_counter()
            nearest(texts, "", 1, each)
            starts.append(time.perf_counter() - began)
        rows = []
        for name, by in {"vectors": WAYS[:1], "words": WAYS[1:], "both": WAYS}.items():
            progress(f"{name}: {tasks} tasks")
            right = 0
            for task in written:
                shown = {names[i] for i in nearest(texts, task.query, SHOWN, embedder, by)}
                right += {call.function for call in task.solution} <= shown
            rows.append({"by": name, "tasks_with_all_tools_shown": right / tasks})
    return {
        "tools": len(texts), "tasks": tasks, "first_start_seconds": starts[0],
        "second_start_seconds": starts[1], "tools_shown": rows,
    }  # fmt: skip
