"""The name of a licence, told from its text. No legal advice: what is not known is its first line.

Called by the kinds of sources that state a licence for all they hold.
"""

import re

_STATED = re.compile(r"SPDX-License-Identifier:\s*(\S+)")
_KNOWN = (
    ("Apache-2.0", ("apache license", "version 2.0")),
    ("AGPL-3.0", ("gnu affero general public license", "version 3")),
    ("LGPL-3.0", ("gnu lesser general public license", "version 3")),
    ("GPL-3.0", ("gnu general public license", "version 3")),
    ("GPL-2.0", ("gnu general public license", "version 2")),
    ("MPL-2.0", ("mozilla public license", "2.0")),
    ("MIT", ("permission is hereby granted, free of charge", "the software is provided")),
    ("BSD-3-Clause", ("redistribution and use in source and binary forms", "neither the name")),
    ("BSD-2-Clause", ("redistribution and use in source and binary forms",)),
    ("ISC", ("permission to use, copy, modify, and/or distribute this software",)),
    ("CC0-1.0", ("cc0 1.0 universal",)),
    ("CC-BY-SA-4.0", ("attribution-sharealike 4.0",)),
    ("CC-BY-4.0", ("attribution 4.0",)),
    ("Unlicense", ("this is free and unencumbered software",)),
)
"""By words that they all have, the more special first."""
_HEAD = 4000
_NAME_CHARS = 80


def licence_name(data: bytes) -> str | None:
    """The SPDX name, or the first line of what is not known; None for a text without words."""
    text = data[: 4 * _HEAD].decode(errors="replace")
    if stated := _STATED.search(text):
        return stated[1]
    flat = " ".join(text.lower().split())
    for name, words in _KNOWN:
        if all(word in flat[:_HEAD] for word in words):
            return name
    return next((line.strip()[:_NAME_CHARS] for line in text.splitlines() if line.strip()), None)
