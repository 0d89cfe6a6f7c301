"""Turns of a conversation and calls of tools inside a text, as a chat template writes them.

In training and in a prompt such a text would be read as turns that were taken, not as something
that was said about them. Called by adapt.gather.screening.
"""

import re
from collections.abc import Iterator, Sequence

from adapt.gather.screen_text import Part, at, excerpt
from store.source_records import Finding

_TOKENS = re.compile(
    r"<[|｜][\w ▁/.-]{1,40}[|｜]>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|<(?:bos|eos|pad)>|"
    r"<\|?(?:im_start|im_end|endoftext|eot_id|python_tag)\|?>|\[/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|"
    r"TOOL_RESULTS)\]|<s>\s*\[|</?(?:system|assistant|user|human)(?:_prompt|_message|_turn)?>|"
    r"^\s*#{2,4} ?(?:system|human|assistant|user|instruction|response)s?(?: prompt| "
    r"message)?:?\s*$",
    re.IGNORECASE | re.MULTILINE,
)
_TURN = re.compile(
    r"^[\s>*_#\"'`(\[-]*(system|assistant|user|human|ai|ai assistant|chatbot|bot|model|chatgpt|gpt)"
    r"[\s*_)\]`]*(?:says|said|turn|message|\(.{1,20}\))?[\s*_]*[:：>][*_]*(?=\s|\S)",
    re.IGNORECASE | re.MULTILINE,
)
_ANSWERS = {
    "assistant",
    "ai",
    "ai assistant",
    "chatbot",
    "bot",
    "model",
    "chatgpt",
    "gpt",
    "system",
}
_JSON_TURN = re.compile(
    r"[\"']role[\"']\s*[:=]\s*[\"'](?:system|assistant|user|tool|"
    r"developer)[\"']\s*,\s*[\"']content[\"']\s*[:=]|"
    r"[\"']content[\"']\s*:\s*[\"'][^\"']{1,400}[\"']\s*,\s*[\"']role[\"']\s*:\s*[\"'](?:system|"
    r"assistant|user|tool)",
    re.IGNORECASE,
)
_CALLED = r"[\"'](?:name|tool|tool_?name|function|function_?name|action|recipient_name)[\"']"
_GIVEN = r"[\"'](?:arguments|parameters|args|kwargs|params|input|tool_?input|action_?input)[\"']"
_CALL = re.compile(
    r"</?(?:tool_?calls?|function_?calls?|tool_?responses?|tool_?results?|function_?results?|"
    r"tool_?use|tool_?name|tool_?input|invoke|functions?|antml:\w+)(?:\s+\w+=[\"'][^>]*)?>|"
    r"<(?:function|parameter|tool)=[\w.\"'-]+>|\[/?TOOL_CALLS?\]|functools\[\s*\{|"
    r"✿(?:FUNCTION|ARGS|RESULT|RETURN)✿|^\s*```tool_\w+|\bto=functions\.\w|"
    r"[\"'](?:tool_calls|function_call|tool_use)[\"']\s*[:,]|"
    rf"{_CALLED}\s*:\s*[\"'][\w.-]+[\"']\s*,\s*{_GIVEN}\s*:\s*[\"{{\[]|"
    r"^\s*(?:Action|Tool)\s*:\s*\S+[^\n]*\n+\s*(?:Action|Tool)[ _]Input\s*:|"
    r"^\s*(?:Observation|Thought)\s*:[^\n]*\n(?:[^\n]*\n){0,3}?\s*(?:Action|Final Answer|"
    r"Thought)\s*:",
    re.IGNORECASE | re.MULTILINE,
)


def find(parts: Sequence[Part]) -> Iterator[Finding]:
    """Turns and calls in the parts of one document, at most one of each for a part."""
    for part in parts:
        if match := _TOKENS.search(part.text) or _JSON_TURN.search(part.text) or _turns(part.text):
            yield Finding(
                kind="role-marker",
                words=f"{at(part.place)}marks turns of a conversation as a chat template does; "
                "learned, it would pass for something the system or the assistant said",
                excerpt=excerpt(part.text, match.start(), match.end()),
            )
        if match := _CALL.search(part.text):
            yield Finding(
                kind="tool-call",
                words=f"{at(part.place)}holds a call of a tool, or its answer, in the form that a "
                "model writes; learned, it would be repeated as a call",
                excerpt=excerpt(part.text, match.start(), match.end()),
            )


def _turns(text: str) -> re.Match[str] | None:
    """Turns of two speakers, one of them a model or the system; or two turns of such a one."""
    found = list(_TURN.finditer(text))
    answers = [match for match in found if match[1].lower() in _ANSWERS]
    return answers[0] if answers and len(found) >= 2 else None
