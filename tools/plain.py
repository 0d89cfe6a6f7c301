"""Text of others made harmless for a chat template: what would end a turn or call a tool ends none.

Engines read the marks of a template wherever they stand, so that a tool's reply could put words in
the user's mouth. Here each such mark gets a blank, and is text like any other. What the words say
is not judged. Called by tools.registry for every reply, and by those that take descriptions over.
"""

import re

_MARK = re.compile(
    r"<(?=[|｜][^<>|｜\n]{1,40}[|｜]>"
    r"|/?(?:s|tools?|think|tool_?calls?|tool_?responses?|tool_?results?|function_?calls?)>"
    r"|/?(?:start|end)_of_turn>|(?:bos|eos|pad|unk)>|</?SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\])",
    re.IGNORECASE,
)


def plain(text: str) -> str:
    """The text with a blank inside each mark of a chat template, and nothing that cannot be sent:
    half a surrogate pair, as JSON may hold, can be neither sent to an engine nor stored."""
    return _MARK.sub(r"\g<0> ", text).encode(errors="replace").decode()
