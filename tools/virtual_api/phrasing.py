"""How people ask for things in the universe, and how a good answer reads.

Wordings come in two sets: `common`, and `rare` for instructions that a trained model has not seen.
"""

import random
from collections.abc import Sequence
from typing import Any

from tools.virtual_api.catalogue import Api, Parameter
from tools.virtual_api.words import VERBS, with_article

_OPENERS = {
    "common": ("", "", "Please ", "I want to ", "Can you ", "I need to ", "Could you ", "Help me "),
    "rare": ("It would be great to ", "My boss asked me to ", "Time to ", "Let us "),
}
_SAY = {
    "common": ("with {p} {v}", "{p} {v}", "the {p} is {v}", "{p} should be {v}"),
    "rare": ("set {p} to {v}", "for {p} {v}", "{p} being {v}"),
}
_ASK = {
    "common": (" and tell me the {f}", " and give me the {f}", "; what is the {f}?"),
    "rare": (", I would like to know the {f}", " and report the {f}"),
}


_OWN_LINK = ("with ", "without ", "for ")


class Phrasing:
    """Words around one task. `rare` is the share of wordings kept out of training."""

    def __init__(self, rng: random.Random, rare: float = 0.0) -> None:
        self.rng = rng
        self.rare = rare

    def _pick(self, bank: dict[str, tuple[str, ...]]) -> str:
        return self.rng.choice(bank["rare" if self.rng.random() < self.rare else "common"])

    def opened(self, request: str) -> str:
        """A request as a message: an opener, or a capital letter."""
        text = self._pick(_OPENERS) + request
        return text[0].upper() + text[1:]

    def say(self, parameter: Parameter, value: Any) -> str:
        """One argument in plain words; never the parameter's name."""
        if parameter.kind == "boolean":
            return f"{'with' if value else 'without'} {parameter.phrase}"
        text = f'"{value}"' if isinstance(value, str) and parameter.kind != "date" else str(value)
        return self._pick(_SAY).format(p=parameter.phrase, v=text)

    def request(
        self, api: Api, said: Sequence[str], fields: Sequence[str], again: bool = False
    ) -> str:
        """What is wanted: a verb of the API's kind, the object, arguments, fields to report."""
        words = self._wanted(api, fields, again)
        if said:
            joined = ", ".join(said[:-1]) + (" and " if len(said) > 1 else "") + said[-1]
            joined = f" {joined}" if joined.startswith(_OWN_LINK) else f", {joined}"
            words += joined
        if api.kind in ("find", "call") and fields:
            words += self._pick(_ASK).format(f=" and ".join(fields))
        return words

    def _wanted(self, api: Api, fields: Sequence[str], again: bool) -> str:
        """The verb and its object; for an API of others, what its description says."""
        if api.kind == "call":
            return api.description
        verb = self.rng.choice(VERBS[api.kind])
        if api.kind == "detail":
            return f"{verb} the {' and '.join(fields)} of {'that' if again else 'the'} {api.object}"
        if api.kind == "list":
            return f"{verb} every {api.object}"
        return f"{verb} " + (f"that {api.object}" if again else with_article(api.object))

    def then(self, parts: Sequence[str]) -> str:
        """Steps that follow each other."""
        link = self.rng.choice((", then ", " and then ", ", after that "))
        return link.join(parts)

    def both(self, one: str, two: str) -> str:
        """Two requests that have nothing to do with each other."""
        return one + self.rng.choice((". Also ", ". And then ", ". After that ")) + two


def ask_for(rng: random.Random, api: Api) -> list[str]:
    """Reply fields that a question about this API asks for."""
    if api.kind == "find":
        return [rng.choice([api.returns[0][0], "code"])]
    if api.kind in ("detail", "call"):
        return [rng.choice(api.returns)[0]]
    return []


def answer_for(api: Api, reply: dict[str, Any], fields: Sequence[str]) -> tuple[str, list[str]]:
    """A good answer to one reply, and the values it must hold."""
    if api.kind == "create":
        return f"Done. The reference is {reply['reference']}.", [str(reply["reference"])]
    if api.kind == "cancel":
        return f"Done. {reply['cancelled']} is cancelled.", [str(reply["cancelled"])]
    if api.kind == "list":
        return f"The count is {reply['count']}.", [str(reply["count"])]
    values = [str(reply[f]) for f in fields]
    said = " ".join(f"The {f} is {v}." for f, v in zip(fields, values, strict=True))
    return said, values
