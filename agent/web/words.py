"""Texts as pages show them: safe to read, times in words, markdown of models as HTML.

Text of models, tools and documents is hostile: it may hold markup, turned or hidden characters.
Filters of the templates; called by agent.web.frame.
"""

import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

MOST = 20_000
"""Characters of one text that a page shows."""
# Controls (line ends and tabs stay), what turns a line, what has no width, and tags.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069"
    "\ufeff\ud800-\udfff\U000e0000-\U000e0fff]"
)


def shown(value: Any) -> Any:
    """What each text of a page goes through, so that none is forgotten."""
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    more = len(value) - MOST
    text = _UNSEEN.sub("\ufffd", value[:MOST])
    return f"{text}\n[{more:,} more characters]" if more > 0 else text


@cache
def _markdown() -> MarkdownIt:
    """No HTML, and no images: their address would be asked, and tell what was said."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table"])
    return parser.disable(["image", "html_block", "html_inline"])


def markdown(text: str) -> Markup:
    """A model's text as HTML. Links are http(s) alone, and do not tell where they stand."""
    tokens = _markdown().parse(shown(text))
    for token in tokens:
        for part in token.children or ():
            if part.type == "link_open":
                if not str(part.attrGet("href")).startswith(("http://", "https://")):
                    part.attrSet("href", "#")
                part.attrSet("rel", "noopener noreferrer nofollow")
                part.attrSet("target", "_blank")
    return Markup(_markdown().renderer.render(tokens, _markdown().options, {}))


def laid_out(value: Any) -> str:
    """JSON with an indent where it is some; else the text as it stands."""
    if not isinstance(value, str):
        return json.dumps(value, indent=2, ensure_ascii=False)
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return value


def moment(value: datetime | str | None) -> str:
    """A time to the minute, in UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M") if value else ""


def ago(value: datetime | str | None) -> str:
    """How long ago in a word or two."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value is None:
        return "never"
    seconds = (datetime.now(UTC) - value).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            count = f"{abs(seconds) / size:.0f} {unit}"
            return f"{count} ago" if seconds > 0 else f"in {count}"
    return "just now" if seconds >= 0 else "in a moment"


def when(value: str) -> str:
    """When something comes that is told as ISO 8601; other words as they stand."""
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return value
    return ago(time) if time > datetime.now(UTC) else "due"


def counted(count: int, thing: str) -> str:
    """So many things, one or more."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def lasted(seconds: float | None) -> str:
    """A span of time."""
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def percent(share: float) -> str:
    """A share as a number of hundred."""
    return f"{100 * share:.1f}"


def signed(share: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * share:+.1f}"


def plain(name: str) -> str:
    """A name of ours as words."""
    return name.replace("_", " ")


def digest(text: str) -> str:
    """The beginning of a digest, which is enough to tell it."""
    return text[:12]


FILTERS = {
    f.__name__: f
    for f in (
        markdown, laid_out, moment, ago, when, counted, lasted, percent, signed, plain, digest,
    )
}  # fmt: skip
