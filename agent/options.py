"""What one run may set differently from the agent's settings. Given to `agent.runs.Agent`.

Does nothing by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent.engine import Sampling
from agent.history import Wire

Mode = Literal["values", "updates", "tasks", "checkpoints", "debug"]
"""What of itself LangGraph streams: states, what each node wrote, its steps, its checkpoints."""
Nodes = Sequence[str] | Literal["*"]
"""Nodes of the graph by their names, or all of them."""


@dataclass(frozen=True)
class Options:
    """None means the agent's settings."""

    max_tokens: int | None = None
    sampling: Sampling | None = None
    named: bool = False
    """Whether the client named the version, rather than take what all get."""
    owner: str | None = None
    """Id of the key that asked, where it is a tenant's."""
    confirms: bool = False
    """Whether the caller takes a result that asks (`RunResult.asked`) and resumes. Only for runs
    with a kept thread; a tool that must be confirmed is refused to all others."""
    answer_format: Wire | None = None
    """The form that the answer must have, as vLLM's `response_format`; tools are called before."""
    run_id: str | None = None
    """The run's id, where the caller has to know it before the end."""
    modes: tuple[Mode, ...] = ()
    """Streams only: also yield LangGraph's own parts in these modes, as `Part`."""
    checkpoint: str | None = None
    """Go on from this checkpoint of the thread and not from its last one."""
    every_step: bool = False
    """Keep a checkpoint of every step and not of the whole run alone."""
    stop_before: Nodes | None = None
    stop_after: Nodes | None = None
    """Breakpoints: the run stops there, and a Resume goes on."""


USUAL_OPTIONS = Options()
