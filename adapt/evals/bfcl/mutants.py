"""Answers made from the right one of a BFCL item by one change each, some still right, most not.

Judges none of them: adapt.evals.bfcl.parity has them judged twice. Changes are named for what they
do; the same item and seed give the same answers.
"""

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from adapt.evals.scoring.call_text import Called

Answer = tuple[str, list[Called]]
"""(name of the change, calls)."""
Turns = list[list[tuple[str, dict[str, Any]]]]


def _numbers(value: Any) -> Any:
    """Integers as floats and floats as integers, at any depth."""
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, dict):
        return {key: _numbers(one) for key, one in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**53 else value
    return int(value) if isinstance(value, float) else value


def _texts(change: Callable[[str], str]) -> Callable[[Any], Any]:
    """A change of all texts in a value, at any depth."""

    def changed(value: Any) -> Any:
        if isinstance(value, list):
            return [changed(one) for one in value]
        if isinstance(value, dict):
            return {key: changed(one) for key, one in value.items()}
        return change(value) if isinstance(value, str) else value

    return changed


def _other(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + " else"
    if isinstance(value, list):
        return [*value[:-1], _other(value[-1])] if value else ["else"]
    return {**value, "else": 1} if isinstance(value, dict) else 1


def _shorter(value: Any) -> Any:
    """A text, list or dict without its last part."""
    if isinstance(value, dict):
        return dict(list(value.items())[:-1])
    return value[:-1] if isinstance(value, list | str) else value


CHANGES: dict[str, Callable[[Any], Any]] = {
    "value: other": _other,
    "value: shorter": _shorter,
    "value: reversed": lambda v: v[::-1] if isinstance(v, list | str) else v,
    "value: numbers swapped": _numbers,
    "value: upper case": _texts(str.upper),
    "value: marks added": _texts(lambda text: f"{text[:1]}-{text[1:]}._"),
    "value: blanks added": _texts(lambda text: f" {text.replace(' ', '  ')} "),
    "value: quotes": _texts(lambda text: text.replace("'", '"') + "'"),
    "value: tab added": _texts(lambda text: text + "\t"),
    "value: empty text": lambda _: "",
    "value: nothing": lambda _: None,
    "value: as text": str,
    "value: as list": lambda v: [v],
    "value: as dict": lambda v: {"value": v},
    "value: true": lambda _: True,
    "value: one": lambda _: 1,
    "value: huge": lambda _: 10**400,
    "value: empty list": lambda _: [],
    "value: empty dict": lambda _: {},
    "value: list of dicts": lambda v: [{"value": v}, {}],
}
"""Changes of one argument's value, by name."""


def answers(
    gold: Sequence[tuple[str, dict[str, Any]]], wanted: Sequence[Mapping[str, Any]], seed: int
) -> Iterator[Answer]:
    """The right answer, then changes of its calls and of each argument. `wanted` is the check's
    list of calls; an item that wants none has one call added."""
    chance = random.Random(seed)
    right = [Called(name, deepcopy(arguments)) for name, arguments in gold]
    yield "right", right
    if not right:
        yield "call added", [Called("f", {})]
        return
    yield from _other_calls(right)
    for place, call in enumerate(wanted):
        made = right[place].arguments
        yield "argument added", _with(right, place, {**made, "not_a_parameter": 1})
        for name, argument in call["arguments"].items():
            kept = {key: value for key, value in made.items() if key != name}
            yield "argument left out", _with(right, place, kept)
            for value in argument["values"]:
                yield "listed value", _with(right, place, {**made, name: value})
            if name in made:
                for change, changed in CHANGES.items():
                    yield change, _with(right, place, {**made, name: changed(made[name])})
    for _ in range(8):
        yield "several changes", _several(right, chance)


def _other_calls(right: list[Called]) -> Iterator[Answer]:
    first, rest = right[0], right[1:]
    yield "nothing", []
    yield "call dropped", right[:-1]
    yield "call doubled", [first, *right]
    yield "calls reversed", right[::-1]
    yield "first call for all", [first] * len(right)
    yield "other name", [Called(first.name + "s", first.arguments), *rest]
    yield "name in capitals", [Called(first.name.upper(), first.arguments), *rest]
    yield "name with dots", [Called(first.name.replace("_", "."), first.arguments), *rest]
    yield "no arguments", [Called(first.name, {}), *rest]
    if rest:
        mixed = [Called(a.name, b.arguments) for a, b in zip(right, right[::-1], strict=True)]
        yield "arguments of another call", mixed


def _several(right: list[Called], chance: random.Random) -> list[Called]:
    made = list(right)
    chance.shuffle(made)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(made))
        arguments = made[place].arguments
        if arguments:
            name = chance.choice(sorted(arguments))
            changed = chance.choice(list(CHANGES.values()))(arguments[name])
            made = _with(made, place, {**arguments, name: changed})
    return made


def _with(calls: list[Called], place: int, arguments: dict[str, Any]) -> list[Called]:
    return [*calls[:place], Called(calls[place].name, arguments), *calls[place + 1 :]]


def conversations(gold: Turns, seed: int) -> Iterator[tuple[str, Turns]]:
    """The right calls of a conversation, then changes of them, each with its name."""
    chance = random.Random(seed)
    yield "turns: right", gold
    busy = [place for place, turn in enumerate(gold) if turn]
    last, any_turn = busy[-1], chance.choice(busy)
    yield "turns: last call dropped", _turn(gold, last, gold[last][:-1])
    at = chance.randrange(len(gold[any_turn]))
    turn = gold[any_turn]
    yield "turns: a call dropped", _turn(gold, any_turn, turn[:at] + turn[at + 1 :])
    yield "turns: a call doubled", _turn(gold, any_turn, turn[: at + 1] + turn[at:])
    yield "turns: calls reversed", _turn(gold, any_turn, turn[::-1])
    name, arguments = turn[at]
    changed = {key: _other(value) for key, value in arguments.items()}
    yield (
        "turns: other values",
        _turn(gold, any_turn, [*turn[:at], (name, changed), *turn[at + 1 :]]),
    )
    yield "turns: unknown name", _turn(gold, any_turn, [*turn, ("no_such_function", {})])
    yield "turns: a turn early", [gold[0] + gold[1], [], *gold[2:]] if len(gold) > 1 else gold
    idle = [place for place, turn in enumerate(gold) if not turn]
    if idle:
        yield "turns: a call too many", _turn(gold, idle[0], gold[busy[0]][:1])


def _turn(gold: Turns, place: int, calls: list[tuple[str, dict[str, Any]]]) -> Turns:
    return [*gold[:place], calls, *gold[place + 1 :]]
