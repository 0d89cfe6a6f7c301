"""Samples of a suite: every slice has its share, and the same items come each time."""

from collections import Counter

import pytest
from toolbench_cases import case

from adapt.evals.items import Item
from adapt.evals.sampling import sampled
from store.records import Message


def items(**sizes: int) -> list[Item]:
    """Named items, slice after slice, as files have them."""
    return [
        Item(
            suite="s", slice=name, name=f"{name}_{number}", check={"kind": "silence"},
            messages=(Message(role="user", content=f"{name} {number}"),),
        )
        for name, size in sizes.items()
        for number in range(size)
    ]  # fmt: skip


def by_slice(chosen: list[Item]) -> dict[str, int]:
    return dict(Counter(item.slice for item in chosen))


def test_slices_have_shares_in_proportion() -> None:
    assert by_slice(sampled(items(a=60, b=30, c=10), 10)) == {"a": 6, "b": 3, "c": 1}
    assert by_slice(sampled(items(a=1, b=1, c=98), 50)) == {"a": 1, "c": 49}


@pytest.mark.parametrize("count", range(1, 41))
def test_a_sample_has_just_as_many_items_as_asked_for_in_their_order(count: int) -> None:
    whole = items(a=17, b=13, c=7, d=3)
    chosen = sampled(whole, count)
    assert len({item.digest for item in chosen}) == count
    assert [i for i in whole if i in chosen] == chosen


def test_all_are_taken_where_there_are_no_more() -> None:
    whole = items(a=3, b=2)
    assert sampled(whole, None) == sampled(whole, 5) == sampled(whole, 6) == whole


def test_a_sample_repeats_and_is_not_the_first_items() -> None:
    whole = items(a=100)
    chosen = sampled(whole, 10)
    assert chosen == sampled(whole, 10) and chosen != whole[:10]


def test_other_settings_ask_the_same_questions() -> None:
    """Drawn by name: the digest of an item is another under each setting."""
    names: list[list[str]] = []
    for method in ("react", "dfsdt"):
        item = case(method=method).item
        whole = [item.model_copy(update={"name": str(number)}) for number in range(20)]
        names.append([one.name for one in sampled(whole, 5)])
    assert names[0] == names[1]


def test_more_items_hardly_change_what_is_drawn() -> None:
    before, after = sampled(items(a=100), 20), sampled(items(a=110), 20)
    assert len({i.name for i in before} & {i.name for i in after}) >= 14
