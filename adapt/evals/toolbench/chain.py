"""ReAct: one chain of steps (ToolBench's CoT@1). Called by adapt.evals.toolbench.play."""

from adapt.evals.toolbench.steps import Explorer, Path, Trace


async def run_chain(explorer: Explorer, start: Path) -> Trace:
    """Go on until the model answers, gives up or reaches a limit. EngineError when the engine
    fails."""
    path = start
    while not path.ending:
        path = await explorer.reply(path)
    return Trace(path, explorer)
