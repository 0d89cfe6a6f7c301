"""Other words for what an API does: an update that saw one wording would refuse all others.

By rule, from a request alone: a verb of the same meaning, or one of several things asked for. It
calls no model. Called by adapt.synthesize.
"""

import random
import re

_SAME = (
    ("find", "search for", "look for", "locate"),
    ("get", "fetch", "look up", "check", "show"),
    ("book", "reserve", "order", "arrange", "request"),
    ("cancel", "call off", "drop", "withdraw"),
    ("count", "tally", "number"),
)
_BY_VERB = {verb: verbs for verbs in _SAME for verb in verbs}
_VERB = re.compile("|".join(sorted(map(re.escape, _BY_VERB), key=len, reverse=True)) + r"\b")
_SEVERAL = re.compile(r"the (?P<first>[\w ]+?) and (?P<second>[\w ]+?) of an? (?P<rest>.+)")


def paraphrase(request: str, rng: random.Random) -> str:
    """A request such as "find a tour" in words that mean the same; what is not known stays."""
    match = _VERB.match(request)
    if match and rng.random() < 0.7:
        request = rng.choice(_BY_VERB[match.group()]) + request[match.end() :]
    several = _SEVERAL.search(request)
    if several and rng.random() < 0.7:
        one = several[rng.choice(("first", "second"))]
        request = f"{request[: several.start()]}the {one} of the {several['rest']}"
    return request
