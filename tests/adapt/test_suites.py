"""Suites: what they are made of, that they repeat, and that their reference answers are right."""

from collections import Counter
from collections.abc import Callable

import pytest

from adapt.evals.encyclopedia import KNOWN_SEED, facts
from adapt.evals.items import Item, Suite, task_of
from adapt.evals.suites import (
    PICO_SIZES,
    catalogue_of,
    general_suite,
    kept_base_suite,
    kept_suite,
    learned_suite,
    pico_suites,
    tools_suite,
)
from store.records import Example, Message
from tools.virtual_api.lexicon import KNOWN_CATEGORIES, UNSEEN_CATEGORIES


def categories(item: Item) -> set[str]:
    """Categories of the tools that an item shows."""
    known = catalogue_of(0).by_function
    return {known[t["function"]["name"]].category for t in item.tools}


def example(number: int, kind: str = "qa", split: str = "held_out") -> Example:
    return Example.model_validate(
        {
            "digest": f"e{number}", "kind": kind, "documents": ["d"], "split": split,
            "messages": [Message(role="user", content=f"What is {number}?")],
            "check": {"kind": "answer", "values": [str(number)]},
        }
    )  # fmt: skip


BUILDERS: list[Callable[[int, int], Suite]] = [tools_suite, general_suite, kept_base_suite]


@pytest.mark.parametrize("build", BUILDERS)
def test_a_suite_repeats_and_a_larger_one_begins_with_it(
    build: Callable[[int, int], Suite],
) -> None:
    """Same arguments, same digest; more items are added at the end; another seed is another one."""
    assert build(3, 40).digest == build(3, 40).digest != build(4, 40).digest
    assert build(3, 20).items == build(3, 40).items[:20]
    assert len(build(3, 40).items) == 40 == len({i.digest for i in build(3, 40).items})
    assert build(3, 0).items == ()


def test_the_tools_suite_covers_kinds_and_splits() -> None:
    """All four kinds on unseen categories with four functions, and ToolBench's other splits."""
    suite = tools_suite(7, 64)
    found = Counter(i.slice for i in suite.items)
    assert {f"{k}/unseen_category" for k in ("single", "multi", "cross", "none")} < set(found)
    assert {"single/unseen_tool", "single/unseen_instruction"} < set(found)
    for item in suite.items:
        assert len(item.tools) == 4 and item.shown == "schemas"
        if item.slice.endswith("unseen_category"):
            assert categories(item) <= set(UNSEEN_CATEGORIES)
        else:
            assert not categories(item) & set(UNSEEN_CATEGORIES)


def test_the_kept_base_suite_is_closed_book() -> None:
    """Facts without tools, and calls of known APIs of which only the names are shown."""
    suite = kept_base_suite(7, 40)
    known = {f.value for f in facts(KNOWN_SEED)}
    for item in suite.items:
        if item.slice == "fact/known":
            assert not item.tools and item.check["values"][0] in known
        else:
            assert item.shown == "names" and categories(item) <= set(KNOWN_CATEGORIES)
            assert not any(t["function"]["parameters"]["properties"] for t in item.tools)
    assert Counter(i.slice for i in suite.items).most_common()[0][1] == 20


def test_no_general_item_is_about_the_universe() -> None:
    """General abilities show no tools and have one exact answer."""
    for item in general_suite(7, 100).items:
        assert not item.tools and item.check["kind"] == "exact"


def test_the_reference_solution_solves_every_task() -> None:
    """Tasks survive storing as JSON: the solution reaches the end state in the item's own world."""
    for suite in (tools_suite(1, 48), kept_base_suite(1, 24)):
        for item in Suite.model_validate_json(suite.model_dump_json()).items:
            if item.check["kind"] == "task":
                task = task_of(item.check)
                session = task.session(catalogue_of(item.check["catalogue_seed"]))
                for call in task.solution:
                    assert "error" not in session.execute(call.function, call.arguments)
                assert session.state_digest() == task.state


def test_the_pico_benchmark_has_its_sizes_and_other_items_than_the_gate() -> None:
    """Sizes follow the count, and no item of it ever decided on a version."""
    suites = {s.name: s for s in pico_suites(count=20)}
    assert {n: len(s.items) for n, s in suites.items()} == {
        name: size // 10 for name, size in PICO_SIZES.items()
    }
    gate = {i.digest for i in tools_suite(7, 120).items}
    assert not gate & {i.digest for s in suites.values() for i in s.items}


def test_learned_takes_what_is_held_out() -> None:
    """Training examples and examples without a check are never asked; the cap holds."""
    unchecked = example(9).model_copy(update={"check": None})
    given = [example(1), example(2, split="train"), unchecked, example(3, "api-call"), example(1)]
    suite = learned_suite(given, 10)
    assert {(i.slice, i.check["values"][0]) for i in suite.items} == {
        ("qa", "1"),
        ("api-call", "3"),
    }
    assert len(learned_suite((example(i) for i in range(50)), 10).items) == 10
    assert learned_suite([], 10).items == ()


def test_kept_is_a_steady_sample_of_earlier_cycles() -> None:
    """The sample does not depend on the order, and new examples replace few of the old ones."""
    old = [example(i) for i in range(100)]
    before = {i.digest for i in kept_suite(old, (), 40).items}
    assert before == {i.digest for i in kept_suite(reversed(old), (), 40).items}
    after = {i.digest for i in kept_suite([*old, *map(example, range(100, 125))], (), 40).items}
    assert len(after) == 40 and len(before & after) >= 25


@pytest.mark.parametrize(
    ("earlier", "base", "expected"),
    [(100, 100, (20, 20)), (5, 100, (5, 35)), (100, 10, (30, 10)), (3, 4, (3, 4)), (0, 0, (0, 0))],
)
def test_kept_shares_its_items_with_the_base(
    earlier: int, base: int, expected: tuple[int, int]
) -> None:
    """Half each, and what one side lacks the other fills; all items carry the suite's name."""
    items = general_suite(1, base).items
    suite = kept_suite(map(example, range(earlier)), items, 40)
    found = Counter(i.slice == "qa" for i in suite.items)
    assert (found[True], found[False]) == expected
    assert all(i.suite == "kept" for i in suite.items)
