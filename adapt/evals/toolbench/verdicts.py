"""What a judge is asked and how its words are read. Asks nothing; called by .judge beside it."""

import re
from typing import Literal

Verdict = Literal["solved", "unsure", "unsolved"]

_END = "Think it over briefly. Then end with one line, and nothing behind it:\n"
_VERDICTS = "Verdict: Solved\nor Verdict: Unsolved\nor Verdict: Unsure"

FINAL = (
    "You examine an assistant that calls APIs for its users. You see a user's query and the "
    "assistant's final answer. Solved: the answer gives all that was asked for. Unsolved: it "
    "apologises, gives nothing positive or to the point, or leaves out what was asked for. Unsure: "
    f"from the answer alone it cannot be told.\n{_END}{_VERDICTS}"
)
TRACE = (
    "You examine an assistant that calls APIs for its users. You see a user's query, the "
    "assistant's final answer and the calls it made with their replies. Unsolved: all calls "
    "failed, or the answer contradicts the replies. Solved: calls that succeeded carry the answer, "
    "and it gives what was asked for. Unsure: the calls neither confirm nor contradict it.\n"
    f"{_END}{_VERDICTS}"
)
PAIR = (
    "You compare two assistants that called APIs for the same query. The better answer tells more "
    "of what was asked for, is right by the replies, and is well reasoned; of two equally good "
    "ones the better took fewer and more useful calls. The order of the answers means nothing.\n"
    f"{_END}Better: 1\nor Better: 2"
)

_VERDICT = re.compile(r"verdict\W{0,5}(solved|unsolved|unsure)\b", re.IGNORECASE)
_BETTER = re.compile(r"better\W{0,5}([12])\b", re.IGNORECASE)


def verdict_in(text: str) -> Verdict | None:
    """The last verdict of a judge's words, None where there is none."""
    found = _VERDICT.findall(text)
    if not found:
        return None
    words: dict[str, Verdict] = {"solved": "solved", "unsolved": "unsolved", "unsure": "unsure"}
    return words[found[-1].lower()]


def choice_in(text: str) -> Literal[1, 2] | None:
    """The answer that a judge prefers, None where it names neither."""
    found = _BETTER.findall(text)
    return (1 if found[-1] == "1" else 2) if found else None
