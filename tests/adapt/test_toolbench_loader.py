"""StableToolBench as a benchmark: its items, and the scripted runs that must and must not pass."""

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest
from toolbench_cases import FORECAST_NAME, GIVE_UP, case, record, write_queries

from adapt.evals.benchmarks import Gold, by_slice, cases, find, suite_of
from adapt.evals.published import stabletoolbench
from adapt.evals.published.stabletoolbench import BENCHMARK, finish, load, replay
from adapt.evals.scoring.marks import Mark
from adapt.evals.toolbench.protocol import Setting
from store.errors import ConfigError, NotFoundError


def corruptions(gold: Gold) -> dict[str, Gold]:
    """The gold made wrong, by what was done to it."""
    first, *others = gold.calls
    wrong = {
        "another name": (("no_such_function", first[1]), *others),
        "a call dropped": tuple(others),
        "a call repeated": (first, *gold.calls),
        "an empty answer": (*gold.calls[:-1], finish("")),
        "no Finish": gold.calls[:-1],
        "given up": (*gold.calls[:-1], GIVE_UP),
    }
    return {name: replace(gold, calls=calls) for name, calls in wrong.items()}


async def marks_of(found: stabletoolbench.Case) -> tuple[Mark, dict[str, Mark]]:
    """The mark of the gold, and those of its corruptions."""
    good = await replay(found.item, found.gold)
    return good, {name: await replay(found.item, g) for name, g in corruptions(found.gold).items()}


def test_the_gold_is_right_and_every_corruption_is_less() -> None:
    good, bad = asyncio.run(marks_of(case()))
    assert good.score == 1.0
    scores = {name: round(mark.score, 3) for name, mark in bad.items()}
    assert scores == {
        "another name": 0.5, "a call dropped": 0.667, "a call repeated": 0.8,
        "an empty answer": 0.0, "no Finish": 0.0, "given up": 0.0,
    }  # fmt: skip


def test_groups_are_read_in_order_and_others_are_not(tmp_path: Path) -> None:
    for name in ("G3_instruction", "G1_tool", "notes"):
        write_queries(tmp_path / f"{name}.json", record(query_id=len(name)))
    assert by_slice(c.item for c in load(tmp_path)) == {"G1_tool": 1, "G3_instruction": 1}


def test_a_folder_without_groups_says_what_it_wants(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="StableToolBench") as caught:
        list(load(tmp_path))
    assert "G1_instruction.json" in caught.value.hint


def test_an_item_holds_its_setting_and_all_that_is_needed() -> None:
    item = case(method="dfsdt", limits="toolbench", format="text").item
    assert Setting.of(item.check) == Setting("dfsdt", "toolbench", "text")
    assert item.check["relevant"] == [FORECAST_NAME, "alerts_for_sky_watch"]
    assert item.check["apis"][FORECAST_NAME]["tool"] == "Sky Watch"
    assert "1.sky_watch\n2.table_9\n" in item.messages[0].content


def test_it_is_in_the_list_of_benchmarks(tmp_path: Path) -> None:
    folder = tmp_path / BENCHMARK.folder
    folder.mkdir(parents=True)
    write_queries(folder / "G1_tool.json", record(), record(query_id=8, query="And snow?"))
    assert find("stabletoolbench") is BENCHMARK
    assert [item.name for item in suite_of("stabletoolbench", tmp_path).items] == ["7", "8"]


def test_two_groups_with_one_id_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / BENCHMARK.folder
    folder.mkdir(parents=True)
    write_queries(folder / "G1_tool.json", record())
    write_queries(folder / "G1_category.json", record(query="And snow?"))
    with pytest.raises(ConfigError, match="'7'"):
        list(cases("stabletoolbench", tmp_path))


def test_published_items_have_fit_and_distinct_names(published_data: Path) -> None:
    suite = suite_of("stabletoolbench", published_data)
    assert by_slice(suite.items) == {"G1_instruction": 163, "G1_tool": 158, "G2_instruction": 106}
    for item in suite.items:
        names = [tool["function"]["name"] for tool in item.tools]
        assert len(set(names)) == len(names)
        assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names)
        assert set(item.check["relevant"]) <= set(names)


def test_published_gold_passes_and_its_corruptions_do_not(published_data: Path) -> None:
    # Every tenth: adapt.evals.selfchecking.selfcheck goes through all of them.
    for found in list(cases("stabletoolbench", published_data))[::10]:
        good, bad = asyncio.run(marks_of(found))
        assert good.score == 1.0, found.item.name
        assert all(mark.score < 1.0 for mark in bad.values()), found.item.name
        assert bad["an empty answer"].score == bad["no Finish"].score == 0.0
