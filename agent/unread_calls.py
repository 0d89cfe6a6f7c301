"""Calls that the engine's parser could not read and left in the text; whoever asked sees none.

Called by agent.nodes, and by evals that tell such calls from answers.
"""

CALL_MARK = "<tool_call>"
"""What the engine's parser leaves in the text of a call that it could not read."""
UNREAD = "I tried to call a tool, but the call could not be read."
"""The answer where the last reply was such a call and nothing else."""


class Shown:
    """What of a stream's text can be shown so far; from a call on, nothing."""

    def __init__(self) -> None:
        self._held = ""
        self._called = False

    def feed(self, piece: str) -> str:
        """What can be shown now that `piece` has come."""
        if self._called:
            return ""
        said, mark, _ = (self._held + piece).partition(CALL_MARK)
        self._called = bool(mark)
        # What may be the beginning of a mark waits until more has come.
        waits = 0 if mark else _beginning(said)
        self._held = said[len(said) - waits :]
        return said[: len(said) - waits]

    def rest(self) -> str:
        """What waited, now that the stream has ended."""
        return self._held


def _beginning(text: str) -> int:
    """How many letters at the end of a text begin a mark."""
    lengths = range(min(len(text), len(CALL_MARK) - 1), 0, -1)
    return next((n for n in lengths if CALL_MARK.startswith(text[-n:])), 0)
