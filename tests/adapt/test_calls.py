"""Calls of a reply: how they are read, whatever a model says, and how they are matched."""

import json
import random
import time
from collections.abc import Callable
from itertools import permutations

import pytest

from adapt.evals.items import Item
from adapt.evals.scoring.call_text import MAX_CALLS, MAX_DEPTH
from adapt.evals.scoring.calls import (
    Called,
    calls_of,
    f1_of,
    mark_calls,
    mark_silence,
    match_one_to_one,
)
from adapt.evals.scoring.marks import Mark
from agent.engine import Reply, ToolCall
from store.errors import ConfigError
from store.records import Message

DEEP = 10_000


def said(text: str = "", *calls: tuple[str, str]) -> Reply:
    """A reply with this text and these (name, raw arguments)."""
    made = tuple(ToolCall(f"c{i}", name, raw) for i, (name, raw) in enumerate(calls))
    return Reply(text, made, "stop", 1, 1, "v1")


def item(**check: object) -> Item:
    return Item(suite="s", slice="s", messages=(Message(role="user", content="?"),), check=check)


WANTED = item(
    kind="calls", rule="bfcl",
    calls=[{"name": "f", "required": ["a"], "arguments": {
        "a": {"type": "integer", "items": None, "values": [1]}}}],
)  # fmt: skip
SILENT = item(kind="silence")


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('[{"name": "f", "arguments": {"a": 1}}]', [("f", {"a": 1})]),
        ('{"name": "f", "parameters": {"a": [1, {"b": null}]}}', [("f", {"a": [1, {"b": None}]})]),
        ('```json\n[{"name": "f", "arguments": {}}]\n```', [("f", {})]),
        ("[f(a=1), m.g()]", [("f", {"a": 1}), ("m.g", {})]),
        ("f(a=(1, 2), b={'x': True})", [("f", {"a": [1, 2], "b": {"x": True}})]),
        ("f(1, **x)", [("f", {"0": 1, "**": "x"})]),
        ("f(a=g(b=1), c=-x)", [("f", {"a": "g(b=1)", "c": "-x"})]),
        ("f(a=-1.5)\n", [("f", {"a": -1.5})]),
        ("I call f(a=1).", []),
        ("f(a=1) and g()", []),
        ("[f(a=1), 3]", []),
        ("{'x': f()}", []),
        ("(lambda: 1)()", []),
        ("[1, 2]", []),
        ('[{"name": "f", "arguments": "x"}]', []),
        ('[{"name": 3}]', []),
        ("[]", []),
        ("", []),
        ("It is 3.", []),
        (r"f(a='\d')", [("f", {"a": r"\d"})]),
        ("f(a='\x00')", []),
    ],
)
def test_text_that_is_calls_is_read_as_calls(
    text: str, calls: list[tuple[str, dict[str, object]]]
) -> None:
    """JSON and Python, fenced or not; text with anything beside them calls nothing."""
    assert calls_of(said(text)) == [Called(*call) for call in calls]


def test_no_text_is_run() -> None:
    """A call with side effects is only a name and values."""
    ran: list[int] = []
    vars_before = dict(globals())
    called = calls_of(said("__import__('os').abort()"))
    assert called == [] and not ran and globals().keys() == vars_before.keys()
    assert calls_of(said("exit(code=3)")) == [Called("exit", {"code": 3})]


@pytest.mark.parametrize(
    "raw",
    ["{not json", "[1]", "3", "null", '"x"', '{"a": NaN}', '{"a": 1' + "0" * 5000 + "}",
     '{"a":' * DEEP + "1" + "}" * DEEP, '{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}",
     '{"a": ' + "[" * 100_000],
    ids=lambda raw: raw[:12],
)  # fmt: skip
def test_arguments_that_are_no_object_are_invalid(raw: str) -> None:
    """Also among good calls, and however deep or long they are."""
    mark = calls_of(said("", ("f", '{"a": 1}'), ("f", raw)))
    assert isinstance(mark, Mark) and not mark.valid and mark.score == 0.0


def test_absent_arguments_are_none_given() -> None:
    """Some engines send an empty text for a call without arguments."""
    assert calls_of(said("", ("f", ""))) == [Called("f", {})]


def test_a_call_left_in_the_text_is_invalid() -> None:
    """The mark of a call that the engine's parser could not read."""
    for reply in (said('<tool_call>{"name": '), said("<tool_call>", ("f", "{}"))):
        mark = calls_of(reply)
        assert isinstance(mark, Mark) and not mark.valid


@pytest.mark.parametrize(
    "reply",
    [
        said("", *[("f", '{"a": 1}')] * 1000),
        said("", *[("f", '{"a": 1}')] * 20_000),
        said("[" + "f(a=1)," * 7000 + "]"),
        said(json.dumps([{"name": "f", "arguments": {"a": 1}}] * 1200)),
        said("[" * DEEP + "]" * DEEP),
        said("f(" * DEEP + ")" * DEEP),
        said("f(a=" + "-" * 40_000 + "1)"),
        said("f(a=" + "1+" * 20_000 + "1)"),
        said("f(a=" + "x." * 20_000 + "y)"),
        said('{"a":' * DEEP + "1" + "}" * DEEP),
        said("word " * 100_000),
        said("```" * 100_000),
        said("\ud800 lone", ("f\ud800", '{"\\ud800": 1}')),
        said("", ("f" * 100_000, '{"a": 1}')),
        said("", ("f", '{"a": ' + "9" * 4000 + "}")),
        said("", ("f", json.dumps({str(n): [n] for n in range(50_000)}))),
    ],
)
def test_no_output_raises_or_takes_long(reply: Reply) -> None:
    """A thousand calls, nesting without end, a hundred thousand words: each is a mark, at once."""
    started = time.process_time()
    mark = mark_calls(WANTED, reply)
    quiet = mark_silence(SILENT, reply)
    assert time.process_time() - started < 3.0
    assert mark.score == 0.0 and quiet.score in (0.0, 1.0)
    assert len(mark.detail) < 300 and mark.detail.encode()


def test_at_most_a_thousand_calls_are_read() -> None:
    """More calls than any benchmark wants are not worth comparing."""
    many = calls_of(said("[" + ",".join(["f()"] * 1500) + "]"))
    assert isinstance(many, list) and len(many) == MAX_CALLS
    mark = calls_of(said("", *[("f", "{}")] * (MAX_CALLS + 1)))
    assert isinstance(mark, Mark) and not mark.valid


@pytest.mark.parametrize(
    ("reply", "score", "valid"),
    [
        (said("I have no tool for that."), 1.0, True),
        (said("[]"), 1.0, True),
        (said("", ("f", "{}")), 0.0, True),
        (said("I try.", ("f", "{}")), 0.0, True),
        (said("f(a=1)"), 0.0, True),
        (said('{"name": "f", "arguments": {}}'), 0.0, True),
        (said(""), 0.0, False),
        (said(" \n\t"), 0.0, False),
        (said("", ("f", "{")), 0.0, False),
    ],
)
def test_silence_is_words_without_calls(reply: Reply, score: float, valid: bool) -> None:
    """A call in any form fails, and so does saying nothing."""
    mark = mark_silence(SILENT, reply)
    assert (mark.score, mark.valid) == (score, valid)


def test_an_unknown_rule_is_named() -> None:
    """The error lists the rules that there are."""
    with pytest.raises(ConfigError, match=r"no rule 'x'.*bfcl"):
        mark_calls(item(kind="calls", rule="x", calls=[]), said("", ("f", "{}")))


def brute_force(gold: list[int], made: list[int], same: Callable[[int, int], bool]) -> int:
    """The most pairs, by trying every order of the longer side."""
    short, long, fits = (gold, made, same) if len(gold) <= len(made) else (
        made, gold, lambda m, g: same(g, m)
    )  # fmt: skip
    orders = permutations(long, len(short))
    return max(sum(map(fits, short, order)) for order in orders)


def test_matching_pairs_each_place_once_and_as_many_as_can_be() -> None:
    """Against every possible order, on random tables of what fits what."""
    chance = random.Random(0)
    for _ in range(200):
        gold, made = list(range(chance.randint(1, 5))), list(range(chance.randint(1, 5)))
        fits = {(g, m) for g in gold for m in made if chance.random() < 0.4}
        pairs = match_one_to_one(gold, made, lambda g, m, fits=fits: (g, m) in fits)
        assert set(pairs) <= fits
        assert len({g for g, _ in pairs}) == len({m for _, m in pairs}) == len(pairs)
        assert len(pairs) == brute_force(gold, made, lambda g, m, fits=fits: (g, m) in fits)


def test_repeating_a_call_earns_nothing() -> None:
    """One right call said a thousand times is one match, and its precision falls."""
    pairs = match_one_to_one(["f", "g"], ["f"] * 1000, str.__eq__)
    assert len(pairs) == 1
    assert f1_of(1, 2, 1000)["precision"] == 0.001
    assert match_one_to_one([], ["f"], str.__eq__) == match_one_to_one(["f"], [], str.__eq__) == []


@pytest.mark.parametrize(
    ("matched", "gold", "made", "f1"),
    [(0, 0, 0, 1.0), (0, 2, 0, 0.0), (0, 0, 3, 0.0), (2, 2, 4, 2 / 3)],
)
def test_f1_is_defined_for_empty_sides(matched: int, gold: int, made: int, f1: float) -> None:
    """Nothing wanted and nothing made is right; one of them alone is wrong."""
    assert f1_of(matched, gold, made)["f1"] == pytest.approx(f1)
