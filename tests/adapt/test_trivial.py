"""Agents that look at no question: their means by the suite's own scorers, kept with a run."""

import time
from pathlib import Path

import pytest
from recorded_runs import gold, recorded, suite
from toolbench_cases import case

from adapt.evals.benchmarks import cases
from adapt.evals.items import Item
from adapt.evals.runs.html_report import page
from adapt.evals.runs.results import open_run
from adapt.evals.selfchecking import trivial
from store.records import Message

TOOLS = tuple(
    {"type": "function", "function": {"name": name, "parameters": {"properties": {}}}}
    for name in ("f", "g")
)


def item(number: int, kind: str, **check: object) -> Item:
    """An item of two functions, in the slice of its kind."""
    return Item(
        suite="s", slice=kind, name=str(number), tools=TOOLS, check={"kind": kind, **check},
        messages=(Message(role="user", content=f"{number}?"),),
    )  # fmt: skip


BOTH = [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]
ITEMS = [
    item(1, "silence"), item(2, "silence"),
    item(3, "calls", rule="one_to_one", calls=BOTH),
    item(4, "calls", rule="one_to_one", calls=BOTH[:1]),
    item(5, "turns", turns=[{}, {}]),
]  # fmt: skip


def test_each_agent_has_the_means_of_its_replies_by_slice(tmp_path: Path) -> None:
    """Conversations are left out, and the numbers of items say so."""
    folder = run_folder(tmp_path)
    trivial.keep(folder, open_run(folder).report.suite_digest, ITEMS)
    told = trivial.trivial_of(open_run(folder))
    assert told == {
        "abstains": {"all": {"mean": 0.5, "items": 4}, "calls": {"mean": 0.0, "items": 2},
                     "silence": {"mean": 1.0, "items": 2}},
        "calls_everything": {"all": {"mean": 0.25, "items": 4}, "calls": {"mean": 0.5, "items": 2},
                             "silence": {"mean": 0.0, "items": 2}},
    }  # fmt: skip


def run_folder(tmp_path: Path) -> Path:
    """A finished run of some suite."""
    folder = recorded(tmp_path / "run", suite(6), gold).folder
    assert folder is not None
    return folder


def test_they_are_reckoned_once_and_again_for_another_suite(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    digest = open_run(folder).report.suite_digest
    assert trivial.trivial_of(open_run(folder)) is None
    trivial.keep(folder, digest, ITEMS[:1])
    kept = (folder / trivial.FILE).stat().st_mtime_ns
    trivial.keep(folder, digest, ITEMS[2:3])
    assert (folder / trivial.FILE).stat().st_mtime_ns == kept
    trivial.keep(folder, "0" * 64, ITEMS)
    assert trivial.trivial_of(open_run(folder)) is None, "they are of another suite now"
    (folder / trivial.FILE).write_text('{"agents"')
    assert trivial.trivial_of(open_run(folder)) is None


@pytest.mark.parametrize("form", ["functions", "text"])
def test_queries_of_toolbench_are_played_in_every_format(tmp_path: Path, form: str) -> None:
    """Neither agent gives an answer, so neither gets a share."""
    folder = run_folder(tmp_path)
    digest = open_run(folder).report.suite_digest
    trivial.keep(folder, digest, [case(format=form, method="dfsdt").item])
    told = trivial.trivial_of(open_run(folder))
    assert told is not None and {one["all"]["mean"] for one in told.values()} == {0.0}


def test_the_page_marks_them_in_the_bars(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    assert "looks at no question" not in page(open_run(folder))
    trivial.keep(folder, open_run(folder).report.suite_digest, ITEMS[:3])
    shown = page(open_run(folder))
    assert "looks at no question and abstains has 0.667 (of 3 items" in shown
    assert 'title="abstains: 0.667"' in shown and "one that calls everything has 0.333" in shown


def test_ten_thousand_items_take_seconds(tmp_path: Path, published_data: Path) -> None:
    items = [one.item for one in cases("metatool", published_data, 2000)]
    folder = run_folder(tmp_path)
    began = time.process_time()
    trivial.keep(folder, "0" * 64, items)
    assert time.process_time() - began < 4
