"""Recorded replies of real APIs, in the layout of StableToolBench's published cache.

`<folder>/<Category>/<tool>_for_<Category>/<api>.json` holds `{"<arguments>": reply}`, where the
arguments are a Python dictionary written out. The published server finds them by the same text
only; here the order of the names and the blanks do not matter. Reads and never writes. Called by
adapt.evals.toolbench.server.
"""

import json
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapt.evals.published.reading import document
from adapt.evals.toolbench.functions import api_word, tool_word
from adapt.evals.toolbench.protocol import literal
from adapt.evals.toolbench.queries import Api
from store.errors import ConfigError, NotFoundError
from store.records import digest_of

Body = dict[str, Any]
"""A reply as the server gives it: `error`, empty where there is none, and `response`."""

EXAMPLES = 5
EXAMPLE_CHARS = 2048
"""Most examples of one API, and how long they may be together."""
_FILES = 256
"""Files kept in memory: the published cache has thousands."""


class ReplyCache:
    """A folder of recorded replies. NotFoundError where there is none."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise NotFoundError(f"there is no folder {folder} of recorded replies", "see its path")
        self._folder = folder
        self._read: OrderedDict[Path, dict[str, Body]] = OrderedDict()

    def find(self, api: Api, arguments: Mapping[str, Any]) -> Body | None:
        """The recorded reply to these arguments, None where there is none.

        ConfigError names a file that is broken.
        """
        return self._replies(api).get(canonical(arguments))

    def examples(self, api: Api) -> dict[str, Body]:
        """A few recorded replies by their arguments (JSON), in the file's order."""
        chosen: dict[str, Body] = {}
        for key, body in list(self._replies(api).items())[:EXAMPLES]:
            if len(json.dumps({**chosen, key: body})) > EXAMPLE_CHARS:
                break
            chosen[key] = body
        return chosen

    def digest(self, api: Api) -> str:
        """Identity of what is recorded of an API; empty where nothing is."""
        replies = self._replies(api)
        return digest_of(replies) if replies else ""

    def _replies(self, api: Api) -> dict[str, Body]:
        tool = f"{tool_word(api.tool)}_for_{api.category}"
        path = self._folder / api.category / tool / f"{api_word(api.name)}.json"
        if path not in self._read:
            self._read[path] = _read(path) if path.is_file() else {}
        self._read.move_to_end(path)
        while len(self._read) > _FILES:
            self._read.popitem(last=False)
        return self._read[path]


def canonical(arguments: Mapping[str, Any]) -> str:
    """Arguments as one text, whatever the order of their names."""
    return json.dumps(arguments, sort_keys=True, ensure_ascii=False)


def _read(path: Path) -> dict[str, Body]:
    recorded = document(path)
    if not isinstance(recorded, dict):
        raise ConfigError(f"{path} holds no replies by arguments", "mend it, or remove it")
    replies: dict[str, Body] = {}
    for key, body in recorded.items():
        if not isinstance(body, dict):
            raise ConfigError(f"{path}: the reply to {key[:80]} is no object", "mend or remove it")
        replies[_canonical_key(key)] = body
    return replies


def _canonical_key(key: str) -> str:
    try:
        read = json.loads(literal(key) or key)
    except (ValueError, RecursionError):
        return key
    return canonical(read) if isinstance(read, dict) else key
