"""What the model sees of a thread that is longer than its window: the latest turns, and where that
is wanted its own summary of those before.

The thread itself keeps every word. What is left out stays out from then on, so that prompts go on
beginning alike and the engine's prefix cache serves them. Called by the node that asks the model.
"""

from collections.abc import Sequence

from agent.history import Memory, Wire, identified, shortened, with_system
from agent.state import RunContext
from agent.window import bytes_of
from store.errors import EngineError

SHARE = 0.7
"""Of the window's room is used after a cut: the next turns fit without another one."""
PLENTY = 32
"""Bytes per token that no text has."""
SUMMARY_TOKENS = 200
SUMMARISE = (
    "Summarise the conversation below in at most 120 words, for somebody who goes on with it: "
    "names, numbers, decisions, and what is open. Write the summary alone."
)


class View:
    """The part of a thread that the model is shown in one call. Gets shorter, never longer."""

    def __init__(self, messages: list[Wire], memory: Memory | None) -> None:
        self._all = messages = identified(messages)
        self._memory = memory
        self._system = messages[:1] if messages and messages[0]["role"] == "system" else []
        self._kept = messages[_place(messages, memory) :]
        if not self._kept or self._kept[0]["role"] == "system":
            self._kept = messages[len(self._system) :]

    def shown(self) -> list[Wire]:
        """The messages as the engine takes them."""
        shown = with_system([*self._system, *self._kept])
        if self._memory and self._memory["summary"]:
            words = f"Earlier in this conversation: {self._memory['summary']}"
            shown[0] = shown[0] | {"content": f"{shown[0]['content']}\n\n{words}"}
        return shown

    async def fit(self, run: RunContext, tools: list[Wire] | None) -> None:
        """Leave out the oldest turns until there is room for an answer, as far as that goes."""
        window, room = run.window, run.window.room(run.max_tokens)
        if window.size is None:
            return
        start = self._kept
        # To count what is far too long would take the engine seconds. Tools are always counted:
        # leaving out turns makes no room where they alone take it.
        self._leave(PLENTY * room, None)
        share = SHARE
        while True:
            tokens = await window.tokens(run.engine, run.model, self.shown(), tools, run.max_tokens)
            if tokens is None or tokens <= room:
                break
            most = int(room * share * bytes_of(self.shown(), tools) / tokens)
            if not (self._leave(most, tools) or self.shorten()):
                break
            share *= SHARE
        if self._kept[0] is not start[0]:
            await self._note(run)

    def shorten(self) -> bool:
        """Leave out the oldest turn, or of a single one the oldest calls. False where only a
        question and the newest calls are left."""
        shorter = shortened(self._kept)
        if shorter is None:
            return False
        self._kept = shorter
        return True

    def _leave(self, most: int, tools: list[Wire] | None) -> bool:
        """Leave out whole turns, at least until so many bytes are left; whether any was."""
        over = bytes_of(self.shown(), tools) - most
        if over <= 0:
            return False
        gone = cut = 0
        for place, message in enumerate(self._kept):
            if message["role"] == "user" and place:
                cut = place
                if gone >= over:
                    break
            gone += bytes_of([message])
        self._kept = self._kept[cut:]
        return cut > 0

    async def _note(self, run: RunContext) -> None:
        """Have the thread remember from where on it is shown, and what was before."""
        start = _index(self._all, self._kept[0])
        old = _place(self._all, self._memory)
        left = [m for m in self._all[old:start] if m["role"] != "system"]
        summary = self._memory["summary"] if self._memory else ""
        if run.summarises:
            summary = await _summary(run, summary, left)
        self._memory = Memory(start=self._kept[0]["id"], summary=summary)
        run.trace.memory = self._memory


async def _summary(run: RunContext, before: str, left: Sequence[Wire]) -> str:
    """The summary with more turns in it, or as it was where the model cannot be asked."""
    answer = min(SUMMARY_TOKENS, run.max_tokens)
    most = max(200, run.window.room(answer) - 2 * SUMMARY_TOKENS)
    summary = before
    for piece in _pieces([_line(message) for message in left], most):
        known = f"Summary so far: {summary}\n\n" if summary else ""
        asked = [
            {"role": "system", "content": SUMMARISE},
            {"role": "user", "content": f"{known}{piece}"},
        ]
        try:
            reply = await run.engine.chat(run.model, asked, max_tokens=answer, temperature=0.0)
        except EngineError:
            return summary
        run.trace.spent(reply)
        summary = reply.content.strip() or summary
    return summary


def _line(message: Wire) -> str:
    calls = message.get("tool_calls") or ()
    called = "; ".join(f"{c['function']['name']}({c['function']['arguments']})" for c in calls)
    return f"{message['role']}: {message.get('content') or called}"


def _pieces(lines: Sequence[str], most: int) -> list[str]:
    """The lines in texts of at most `most` characters; of one that is longer the middle is left
    out."""
    pieces: list[str] = []
    for line in lines:
        if len(line) > most:
            line = f"{line[: most // 2]} ... {line[-(most // 2 - 5) :]}"
        if pieces and len(pieces[-1]) + len(line) < most:
            pieces[-1] += "\n" + line
        else:
            pieces.append(line)
    return pieces


def _place(messages: list[Wire], memory: Memory | None) -> int:
    """Where the part begins that is shown: at the start where the memory is of another thread's
    past."""
    start = memory["start"] if memory else None
    found = (i for i, m in enumerate(messages) if m.get("id") == start)
    return next(found, 0) if start else 0


def _index(messages: list[Wire], message: Wire) -> int:
    return next(i for i, m in enumerate(messages) if m is message)
