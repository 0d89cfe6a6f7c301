"""Plays one query of ToolBench: asks the model step by step, has its calls answered, marks the run.

Called by adapt.evals.asking for items of kind `toolbench`. Who answers the calls is
`asker.extras["tool_server"]`, a ToolServer; without one, replies are made from templates.
"""

from collections.abc import Sequence

from adapt.evals.asking import Asker, Played
from adapt.evals.items import Item
from adapt.evals.toolbench.chain import run_chain
from adapt.evals.toolbench.protocol import LIMITS, Format, Setting, read_text, template_prompt
from adapt.evals.toolbench.scores import mark_trace
from adapt.evals.toolbench.server import ToolServer
from adapt.evals.toolbench.steps import Explorer, Path, Said, Speak, Trace, World
from adapt.evals.toolbench.tree import run_tree
from agent.engine import ToolCall
from agent.history import Wire, to_wire
from agent.unread_calls import CALL_MARK
from store.errors import ConfigError, EngineRefused

SERVER = "tool_server"
"""Key of the server in `Asker.extras`."""
_TEXT_STOPS = ("\nFunction:", "\nUser:", "\nSystem:", "</s>")
"""Where a reply in the template ends: a model that goes on would write its own observations."""


async def play(asker: Asker, item: Item) -> Played:
    """Play one item by its check's setting.

    EngineError when the engine fails or refuses the request itself; ConfigError where the server
    is none, or its recorded replies are broken.
    """
    setting = Setting.of(item.check)
    server = asker.extras.get(SERVER) or ToolServer()
    if not isinstance(server, ToolServer):
        raise ConfigError(f"{SERVER} is a {type(server).__name__}", "give a ToolServer")
    world = World.of(item, server.start())
    explorer = Explorer(_speaker(asker, item, setting.format), world, LIMITS[setting.limits])
    start = Path(tuple(to_wire(item.messages)))
    run = run_tree if setting.method == "dfsdt" else run_chain
    trace = await run(explorer, start)
    return Played(
        mark_trace(item, trace), trace.path.answer, _kept(trace), explorer.prompt_tokens,
        explorer.completion_tokens,
    )  # fmt: skip


def _speaker(asker: Asker, item: Item, form: Format) -> Speak:
    """How this model is asked for its next reply."""

    async def in_functions(messages: Sequence[Wire]) -> Said:
        reply = await asker.chat(list(messages), item.tools)
        return Said(
            reply.content, reply.content, reply.tool_calls,
            not reply.tool_calls and CALL_MARK in reply.content,
            reply.prompt_tokens, reply.completion_tokens,
        )  # fmt: skip

    async def in_text(messages: Sequence[Wire]) -> Said:
        reply = await asker.engine.generate(
            asker.model, template_prompt(messages, item.tools),
            max_tokens=asker.decoding.max_tokens, **{**asker.sampling, "stop": _TEXT_STOPS},
        )  # fmt: skip
        if not asker.foreign and reply.model != asker.model:
            raise EngineRefused(f"{reply.model} answered, not {asker.model}", status=400)
        content = reply.text.strip()
        read = read_text(content)
        calls = (ToolCall(f"call-{len(messages)}", read.action, read.action_input),)
        malformed = "Action" in content and not read.action
        return Said(
            content, read.thought, calls if read.action else (), malformed,
            reply.prompt_tokens, len(reply.token_ids),
        )  # fmt: skip

    return in_text if form == "text" else in_functions


def _kept(trace: Trace) -> list[Wire]:
    """The conversation as it is kept: every observation with its status and who gave it."""
    steps = iter(trace.path.steps)
    kept: list[Wire] = []
    for message in trace.path.messages:
        if message["role"] == "tool":
            step = next(steps)
            message = {**message, "status": int(step.status), "source": step.source}
        kept.append(message)
    return kept
